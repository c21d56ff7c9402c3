//go:build !linux

package shm

import (
	"errors"
	"os"
)

// New fails. Files in memory cannot be sealed here, so a worker could kill its
// pool by shrinking the file.
func New(string, int) ([]byte, *os.File, error) { return nil, nil, errors.ErrUnsupported }

// Map fails; see New.
func Map(*os.File) ([]byte, error) { return nil, errors.ErrUnsupported }

// Populate reports false.
func Populate([]byte) bool { return false }

func trim([]byte) {}

// Unmap does nothing.
func Unmap([]byte) {}
