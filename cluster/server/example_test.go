package server_test

import (
	"fmt"
	"os"

	"concert/cluster/server"
)

// A keyring is a directory that lists the public keys of clients, workers and
// admins.
func ExampleNewKeyring() {
	dir, err := os.MkdirTemp("", "keyring")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	if _, err := server.NewKeyring(dir); err != nil {
		fmt.Println(err)
		return
	}
	again, err := server.OpenKeyring(dir)
	if err != nil {
		fmt.Println(err)
		return
	}
	holders, err := again.Holders()
	fmt.Println(len(holders), "keys", err)
	// Output: 0 keys <nil>
}
