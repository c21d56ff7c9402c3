//go:build !unix

package download_test

import "errors"

func mkfifo(string) error { return errors.ErrUnsupported }
