package loop

import "errors"

// ErrClosed is the error of a Queue or a Portal that is used after it was
// closed.
var ErrClosed = errors.New("loop: closed")
