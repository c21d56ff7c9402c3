package loop

import "errors"

// ErrClosed is the error of what is used after its end: a [Queue], a [Portal].
var ErrClosed = errors.New("loop: closed")
