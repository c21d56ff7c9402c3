// Package devserver finds the server of a cluster that a program uses by
// default. This is the server that "concertd dev" runs for the same user:
//
//  1. concertd dev calls [Acquire], which locks a file in a directory that only
//     this user can read. So at most one such server runs for each user.
//  2. When the server accepts connections, [Claim.Publish] writes its URL and
//     the name of a key file to another file in this directory.
//  3. A program calls [Find], which reads this file.
//  4. When the server stops, [Claim.Release] removes the file.
//
// If the server is killed, the file remains, and a connection to the URL fails.
// The next server replaces the file.
package devserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"concert/internal/filelock"
)

const (
	dirName      = "concert"
	recordFile   = "dev.json"
	lockFile     = "dev.lock"
	maxFileBytes = 1 << 16
)

// Record is the content of the file by which programs find the server.
type Record struct {
	URL string `json:"url"`
	Key string `json:"key"` // name of the key file for the server
	Pid int    `json:"pid"` // process of the server

	// Temporary is a directory that the server removes when it ends. If the
	// server was killed, the next Acquire removes it.
	Temporary string `json:"temporary,omitempty"`
}

// ErrRunning is returned by Acquire if another server has the claim.
var ErrRunning = errors.New("another 'concertd dev' runs for this user")

// dirHint says what to do about a directory that this user cannot use.
const dirHint = "set XDG_RUNTIME_DIR to a directory that belongs to this user, or unset it"

// dir returns the directory of this user for the record and the lock. It need
// not exist. A relative XDG_RUNTIME_DIR is invalid: programs in other working
// directories would not find the server.
func dir() (string, error) {
	base := os.Getenv("XDG_RUNTIME_DIR")
	if !filepath.IsAbs(base) {
		var err error
		if base, err = os.UserCacheDir(); err == nil && !filepath.IsAbs(base) {
			err = fmt.Errorf("%s is not absolute", base)
		}
		if err != nil {
			return "", fmt.Errorf("there is no directory for files of this user: set XDG_RUNTIME_DIR: %w", err)
		}
	}
	if info, err := os.Stat(base); err == nil { // root must leave nothing in directories of other users, as with sudo
		if uid, known := owner(info); known && uid != 0 && uid != os.Geteuid() {
			return "", fmt.Errorf("the directory %s belongs to another user (id %d): %s", base, uid, dirHint)
		}
	}
	return filepath.Join(base, dirName), nil
}

// checkPrivate returns an error unless dir is a directory that belongs to the
// user of this process, and that no other user can read or change. Without this
// check, root could use a server that another user controls.
func checkPrivate(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return fmt.Errorf("%s is not a directory: remove it, and run 'concertd dev', which makes the directory", dir)
	}
	uid, known := owner(info)
	switch {
	case known && uid != os.Geteuid():
		return fmt.Errorf("the directory %s belongs to another user (id %d): %s", dir, uid, dirHint)
	case known && info.Mode().Perm()&0o077 != 0:
		return fmt.Errorf("other users can use the directory %s (mode %#o): change that with 'chmod 700 %s'", dir, info.Mode().Perm(), dir)
	}
	return nil
}

// Claim is the right to be the server that programs of this user find. Make one
// with Acquire.
type Claim struct {
	dir      string
	lock     *os.File
	released bool
}

// Acquire acquires the claim. If another server has it, the error wraps
// ErrRunning. The claim ends with the process, or with Release.
func Acquire() (*Claim, error) {
	d, err := dir()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d, 0o700); err != nil {
		return nil, fmt.Errorf("making the directory by which programs find the server: %w: "+dirHint, err)
	}
	if err := checkPrivate(d); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(d, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if filelock.LockUnlessTaken(f) {
		f.Close()
		if r, readErr := read(filepath.Join(d, recordFile)); readErr == nil {
			return nil, fmt.Errorf("%w, at %s (process %d): use it, or stop it first", ErrRunning, r.URL, r.Pid)
		}
		return nil, fmt.Errorf("%w, and has not become ready: wait, or stop it first (it has locked %s)", ErrRunning, f.Name())
	}
	c := &Claim{dir: d, lock: f}
	if err == nil { // without locks, the server may still run
		if killed, err := read(c.record()); err == nil && killed.Temporary != "" {
			os.RemoveAll(killed.Temporary)
		}
	}
	os.Remove(c.record())
	return c, nil
}

// Dir returns the directory of the claim. Only this user can read it. It stays
// when the claim ends.
func (c *Claim) Dir() string { return c.dir }

func (c *Claim) record() string { return filepath.Join(c.dir, recordFile) }

// Publish makes programs of this user find the server. It replaces the record
// atomically.
func (c *Claim) Publish(r Record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(c.dir, recordFile+".*") // only its owner may read it
	if err != nil {
		return fmt.Errorf("writing the file by which programs find the server: %w", err)
	}
	_, err = f.Write(append(text, '\n'))
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(f.Name(), c.record())
	}
	if err != nil {
		os.Remove(f.Name())
		return fmt.Errorf("writing the file by which programs find the server: %w", err)
	}
	return nil
}

// Release removes the record, and ends the claim. A second call does nothing.
func (c *Claim) Release() {
	if c.released {
		return
	}
	c.released = true
	os.Remove(c.record())
	filelock.Unlock(c.lock)
	c.lock.Close()
}
