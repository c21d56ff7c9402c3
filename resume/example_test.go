package resume_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"concert/resume"
)

func ExampleNewKey() {
	dir, err := os.MkdirTemp("", "")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	j, err := resume.Open(filepath.Join(dir, "work.journal"), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer j.Close()

	k := resume.NewKey([]byte("gzip"), []byte("a.txt"))
	if err := j.Append(k, true, map[string]int{"exit_code": 0}, strings.NewReader("12% smaller\n")); err != nil {
		fmt.Println(err)
		return
	}
	if e, ok := j.Find(k); ok {
		fmt.Println(e.OK, string(e.Info), e.Size(0))
	}
	// Output: true {"exit_code":0} 12
}
