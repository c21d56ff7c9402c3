//go:build !linux

package shm

import (
	"errors"
	"os"
)

// Seal fails. Files in memory cannot be sealed here.
func Seal(string, []byte) (*os.File, error) { return nil, errors.ErrUnsupported }

// MapSealed fails; see Seal.
func MapSealed(*os.File, int) ([]byte, error) { return nil, errors.ErrUnsupported }

// NewFileSocket returns no sockets, and no error: there are no files to send.
func NewFileSocket() (send, receive *os.File, err error) { return nil, nil, nil }

// SendFile fails; see Seal.
func SendFile(_, _ *os.File) error { return errors.ErrUnsupported }

// ReceiveFile fails; see Seal.
func ReceiveFile(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

// TakeFile fails; see Seal.
func TakeFile(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

// MapResult fails; see Seal.
func MapResult(*os.File, int) ([]byte, func(), error) { return nil, nil, errors.ErrUnsupported }
