package cluster

import (
	"errors"
	"fmt"
	"strings"

	"concert"
	"concert/cluster/internal/wire"
)

// longestOutcome is how many bytes the message of a result may have: a value that travels in it is shorter, an error may not be.
const longestOutcome = wire.LargestPost / 2

const longestError = 8 << 10 // bytes of the text of an error that was shortened

// shortError is an error too large to travel, with less text: it is what it was for errors.Is and, if that fits, for errors.As.
type shortError struct {
	text string
	err  error
}

// Error returns the text.
func (e *shortError) Error() string { return e.text }

// Unwrap returns the error.
func (e *shortError) Unwrap() error { return e.err }

// shortened is an encoded error that is too large, made smaller.
func shortened(encoded []byte) []byte {
	err := concert.DecodeError(encoded)
	text := err.Error()
	if len(text) > longestError {
		text = fmt.Sprintf("%s... (%d bytes)", strings.ToValidUTF8(text[:longestError], ""), len(text))
	}
	if short := concert.EncodeError(&shortError{text, err}); len(short) < longestOutcome/2 {
		return short
	}
	return concert.EncodeError(errors.New(text)) // what it carries is what is large
}
