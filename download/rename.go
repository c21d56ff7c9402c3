package download

import (
	"errors"
	"io/fs"
	"os"
)

// linkNew renames a file by a hard link, which never replaces another file. On
// a file system without hard links, it first checks that the new name does not
// exist, and then renames the file.
func linkNew(from, to string) error {
	err := os.Link(from, to)
	if err == nil {
		return os.Remove(from)
	}
	if errors.Is(err, fs.ErrExist) {
		return err
	}
	if _, err := os.Lstat(to); err == nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: fs.ErrExist}
	}
	return os.Rename(from, to)
}
