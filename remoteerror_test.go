package concert

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"strconv"
	"testing"
)

// uncomparable is an error that == cannot compare.
type uncomparable []string

func (u uncomparable) Error() string { return fmt.Sprint(len(u), " failures") }

func init() { RegisterError("test.uncomparable", uncomparable{"a"}) }

// TestRegisterError_Standard finds sentinel errors of the standard library in
// errors that another process has sent.
func TestRegisterError_Standard(t *testing.T) {
	_, syntax := strconv.Atoi("x")
	_, tooLarge := strconv.ParseInt("999", 10, 8)
	all := []error{
		io.EOF, io.ErrUnexpectedEOF, io.ErrShortWrite, io.ErrShortBuffer, io.ErrNoProgress, io.ErrClosedPipe, bufio.ErrTooLong, bufio.ErrBufferFull, bufio.ErrNegativeCount,
		strconv.ErrSyntax, strconv.ErrRange, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, fs.ErrClosed, fs.SkipDir, fs.SkipAll, net.ErrClosed, net.ErrWriteToConnected,
		os.ErrDeadlineExceeded, os.ErrNoDeadline, os.ErrProcessDone, errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
	}
	for _, sent := range append([]error{syntax, tooLarge, fmt.Errorf("plain")}, all...) {
		sent = fmt.Errorf("wrapped: %w", errors.Join(errors.New("another"), sent))
		got := DecodeError(EncodeError(sent))
		for _, s := range all {
			if errors.Is(got, s) != errors.Is(sent, s) {
				t.Errorf("errors.Is(%v, %v) = %v", got, s, errors.Is(got, s))
			}
		}
	}
}

// TestRegisterError_Again registers the same error under its name again, and
// errors that cannot be compared.
func TestRegisterError_Again(t *testing.T) {
	if got := RegisterError("io.EOF", io.EOF); got != io.EOF {
		t.Errorf("RegisterError returned %v", got)
	}
	got := DecodeError(EncodeError(fmt.Errorf("x: %w", uncomparable{"a"})))
	if errors.Is(got, uncomparable{"a"}) || errors.Is(&RemoteError{sentinels: []error{uncomparable{"a"}}}, uncomparable{"a"}) || errors.Is(got, io.EOF) {
		t.Errorf("%v matches", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("RegisterError accepts another error under the name of one that cannot be compared")
		}
	}()
	RegisterError("test.uncomparable", uncomparable{"a"})
}
