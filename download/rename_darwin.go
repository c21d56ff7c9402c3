package download

import (
	"os"

	"golang.org/x/sys/unix"
)

// renameNew renames a file, and fails with fs.ErrExist if the new name exists.
func renameNew(from, to string) error {
	err := unix.RenamexNp(from, to, unix.RENAME_EXCL)
	if err == unix.EINVAL || err == unix.ENOSYS || err == unix.ENOTSUP {
		return linkNew(from, to) // the file system has no such call
	}
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}
