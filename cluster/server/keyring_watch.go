package server

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	nats "github.com/nats-io/nats-server/v2/server"
)

// keyringPollPeriod is how often the keyring is looked at.
const keyringPollPeriod = 2 * time.Second

// state is by what it is seen that the holders have changed.
func (k *Keyring) state() (string, error) {
	info, err := os.Stat(k.path(holdersFile))
	if err != nil {
		return "", err
	}
	return fmt.Sprint(info.ModTime().UnixNano(), info.Size()), nil
}

// watchKeyring has the server know who has been given a key since the keyring had
// a state, and who has no longer one.
func (s *Server) watchKeyring(before string) {
	tick := time.NewTicker(keyringPollPeriod)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-s.stop:
			return
		}
		now, err := s.options.Keyring.state()
		if err == nil && now == before {
			continue
		}
		var o *nats.Options
		var holders []Holder
		if err == nil {
			holders, err = s.options.Keyring.Holders()
		}
		if err == nil {
			err = s.service.setHolders(holders)
		}
		if err == nil {
			o, err = s.configuration()
		}
		if err == nil {
			// The server does not serve the imports of accounts that it gets to
			// know by being told so anew, only of those that it knows.
			for _, a := range o.Accounts {
				s.server.LookupOrRegisterAccount(a.Name)
			}
			err = s.server.ReloadOptions(o)
		}
		if err != nil {
			slog.Error("server: the keys that are known stay as they were", "error", err)
			continue
		}
		before = now
	}
}
