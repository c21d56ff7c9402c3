//go:build !linux && !darwin

package download

// renameNew renames a file, and fails with fs.ErrExist if the new name exists.
func renameNew(from, to string) error { return linkNew(from, to) }
