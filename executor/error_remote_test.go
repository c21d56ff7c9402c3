package executor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"reflect"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// uncomparable is an error that == cannot compare.
type uncomparable []string

func (u uncomparable) Error() string { return fmt.Sprint(len(u), " failures") }

func init() {
	RegisterError("test.uncomparable", uncomparable{"a"})
	RegisterErrorType[*slowError]("test.slowError")
}

// TestRegisterError_Standard: errors.Is finds sentinel errors of the standard
// library in errors that another process has sent.
func TestRegisterError_Standard(t *testing.T) {
	_, syntax := strconv.Atoi("x")
	_, tooLarge := strconv.ParseInt("999", 10, 8)
	all := []error{
		io.EOF, io.ErrUnexpectedEOF, io.ErrShortWrite, io.ErrShortBuffer, io.ErrNoProgress, io.ErrClosedPipe, bufio.ErrTooLong, bufio.ErrBufferFull, bufio.ErrNegativeCount,
		strconv.ErrSyntax, strconv.ErrRange, fs.ErrNotExist, fs.ErrExist, fs.ErrPermission, fs.ErrInvalid, fs.ErrClosed, fs.SkipDir, fs.SkipAll, net.ErrClosed, net.ErrWriteToConnected,
		os.ErrDeadlineExceeded, os.ErrNoDeadline, os.ErrProcessDone, os.ErrNoHandle, errors.ErrUnsupported, context.Canceled, context.DeadlineExceeded,
		bufio.ErrInvalidUnreadByte, bufio.ErrInvalidUnreadRune, bufio.ErrNegativeAdvance, bufio.ErrAdvanceTooFar, bufio.ErrBadReadCount, bufio.ErrFinalToken,
		bytes.ErrTooLarge, hex.ErrLength, path.ErrBadPattern, syscall.ENOENT, syscall.ENOSPC, syscall.EPERM, syscall.EEXIST, syscall.EAGAIN, syscall.Errno(0), syscall.Errno(1<<31 - 1),
	}
	_, open := os.Open("/nonexistent/file")
	_, dial := net.Dial("unix", "/nonexistent/socket")
	chains := []error{
		syntax, tooLarge, fmt.Errorf("plain"), open, dial, os.Rename("/nonexistent/a", "/nonexistent/b"), os.NewSyscallError("write", syscall.ENOSPC),
		&fs.PathError{Op: "write", Path: "p", Err: syscall.ENOSPC}, errors.Join(syscall.ENOSPC, syscall.EPERM, syscall.ENOENT), NewPanicError(&os.LinkError{Err: syscall.EEXIST}),
	}
	for _, sent := range append(chains, all...) {
		sent = fmt.Errorf("wrapped: %w", errors.Join(errors.New("another"), sent))
		got := DecodeError(EncodeError(sent))
		for _, s := range all {
			if errors.Is(got, s) != errors.Is(sent, s) {
				t.Errorf("errors.Is(%v, %v) = %v", got, s, errors.Is(got, s))
			}
		}
	}
}

// slowError is an error whose decoding waits until slowDecode is closed.
type slowError struct{ N byte }

var slowDecode chan struct{}

func (e *slowError) Error() string { return "slow" }

func (e *slowError) MarshalBinary() ([]byte, error) { return []byte{e.N}, nil }

func (e *slowError) UnmarshalBinary(b []byte) error { <-slowDecode; e.N = b[0]; return nil }

// TestRemoteError_Hangs: if the method that decodes an error does not return,
// errors.As and Unwrap return after at most a second.
func TestRemoteError_Hangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		slowDecode = make(chan struct{})
		defer close(slowDecode)
		err := DecodeError(EncodeError(fmt.Errorf("wrapped: %w", errors.Join(&slowError{1}, io.EOF))))
		begin := time.Now()
		if _, found := errors.AsType[*slowError](err); found || !errors.Is(err, io.EOF) {
			t.Errorf("%v is a slowError: %v; is io.EOF: %v", err, found, errors.Is(err, io.EOF))
		}
		if took := time.Since(begin); took > errorTime {
			t.Errorf("it took %v", took)
		}
		text := fmt.Sprint(errors.Join(err.(*RemoteError).Unwrap()...))
		if want := "did not return within 1s"; !strings.Contains(text, want) {
			t.Errorf("Unwrap() = %s, want %q in it", text, want)
		}
	})
}

// TestRegisterErrorType_Standard: errors.As finds errors of types of the
// standard library, with their fields.
func TestRegisterErrorType_Standard(t *testing.T) {
	_, syntax := strconv.Atoi("x")
	_, open := os.Open("/nonexistent/file")
	_, dial := net.Dial("unix", "/nonexistent/socket")
	for _, sent := range []error{
		syntax, open, dial, os.Rename("/nonexistent/a", "/nonexistent/b"), os.NewSyscallError("write", syscall.ENOSPC), syscall.EPERM, net.InvalidAddrError("a"), net.UnknownNetworkError("b"),
		&net.DNSError{Err: "no such host", Name: "n", IsNotFound: true}, &net.AddrError{Err: "e", Addr: "a"}, &net.ParseError{Type: "t", Text: "x"}, &fs.PathError{Op: "o", Path: "p", Err: syscall.ENOSPC},
		&net.OpError{Op: "read", Net: "tcp", Addr: &net.TCPAddr{Port: 3}, Err: os.ErrDeadlineExceeded},
	} {
		t.Run(fmt.Sprintf("%T", sent), func(t *testing.T) {
			got := DecodeError(EncodeError(fmt.Errorf("wrapped: %w", errors.Join(errors.New("another"), sent))))
			as := reflect.New(reflect.TypeOf(sent))
			if !errors.As(got, as.Interface()) || !reflect.DeepEqual(as.Elem().Interface(), sent) {
				t.Errorf("%#v became %#v", sent, as.Elem())
			}
		})
	}
	other := strings.ReplaceAll(string(EncodeError(syscall.ENOSPC)), runtime.GOOS+"/", "xyz"+runtime.GOOS[3:]+"/")
	if got := DecodeError([]byte(other)); errors.Is(got, syscall.ENOSPC) || got.Error() != syscall.ENOSPC.Error() {
		t.Errorf("the number of another system became %v", got)
	}
	defer func() {
		if recover() == nil {
			t.Error("RegisterErrorType accepts the name of a type of the standard library")
		}
	}()
	RegisterErrorType[*fs.PathError](standardErrors[reflect.TypeFor[*fs.PathError]()])
}

// TestDecodeError_ManyParts: DecodeError refuses an encoded error with more
// than maxErrorParts parts.
func TestDecodeError_ManyParts(t *testing.T) {
	w := wireError{Text: "text", Values: map[string][]byte{}}
	for i := range maxErrorParts {
		w.Values[strconv.Itoa(i)] = nil
	}
	if got := DecodeError(w.encode()); got.Error() != "text" {
		t.Errorf("%d parts: %v", len(w.Values), got)
	}
	w.Values["one more"] = nil
	if got := DecodeError(w.encode()); !strings.Contains(got.Error(), "cannot decode the error") {
		t.Errorf("%d parts: %v", len(w.Values), got)
	}
	w = wireError{Text: "text", Sentinels: make([]string, maxErrorParts+1)}
	if got := DecodeError(w.encode()); !strings.Contains(got.Error(), "cannot decode the error") {
		t.Errorf("%d sentinels: %v", len(w.Sentinels), got)
	}
}

// TestRegisterError_Again: the same error can be registered again under its
// name. An error that cannot be compared can be registered only once, and
// errors.Is never matches it.
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

// holder is an error that cannot be sent if What holds a channel.
type holder struct {
	Name string
	What any
}

func (h *holder) Error() string { return "holder " + h.Name }

func init() { RegisterErrorType[*holder]("concert.holder") }

// TestRemoteError_LostType: if an error of a registered type cannot be encoded,
// the text of the received error says why. This also holds if another worker
// passes the error on, and if the error is the value of a panic.
func TestRemoteError_LostType(t *testing.T) {
	const why = "holder h (could not be sent as concert.holder: *executor.holder: (*executor.holder).What: chan int: channels cannot be copied to another process)"
	lost := &holder{"h", make(chan int)}
	var h *holder
	for name, err := range map[string]error{"sent": lost, "passed on": DecodeError(EncodeError(lost)), "wrapped": fmt.Errorf("%w", lost)} {
		t.Run(name, func(t *testing.T) {
			got := DecodeError(EncodeError(err))
			if errors.As(got, &h) || !strings.HasPrefix(got.Error(), why) || strings.Count(got.Error(), "could not be sent") != 1 {
				t.Errorf("%s: %v", name, got)
			}
		})
	}
	if r := DecodeError(EncodeError(lost)).(*RemoteError); r.Text != "holder h" {
		t.Errorf("Text = %q", r.Text)
	}
	if got := DecodeError(EncodeError(NewPanicError(lost))); !strings.Contains(got.Error(), "task panicked: "+why) {
		t.Errorf("panic: %v", got)
	}
	if got := DecodeError(EncodeError(&holder{"h", 1})); !errors.As(got, &h) || got.Error() != "holder h" {
		t.Errorf("an error that can be encoded: %v", got)
	}
	long := DecodeError(EncodeError(&holder{strings.Repeat("n", 1<<20), nil})).(*RemoteError)
	if text := strings.TrimPrefix(long.Error(), long.Text); text == "" || len(text) > 400 {
		t.Errorf("the reason for a long error has %d bytes: %.500s", len(text), text)
	}
}
