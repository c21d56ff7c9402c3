//go:build !linux

package main

import "errors"

func mountMemory(string, string, bool) (func(), error) {
	return nil, errors.ErrUnsupported
}
