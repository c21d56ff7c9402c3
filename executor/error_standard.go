package executor

import (
	"bufio"
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"path"
	"reflect"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// This file has the errors of this module and the standard library that keep
// their identity in another process without being registered.

// standardSentinels returns the sentinel errors by name.
func standardSentinels() map[string]error {
	return map[string]error{
		"context.Canceled":           context.Canceled,
		"context.DeadlineExceeded":   context.DeadlineExceeded,
		"errors.ErrUnsupported":      errors.ErrUnsupported,
		"io.EOF":                     io.EOF,
		"io.ErrUnexpectedEOF":        io.ErrUnexpectedEOF,
		"io.ErrShortWrite":           io.ErrShortWrite,
		"io.ErrShortBuffer":          io.ErrShortBuffer,
		"io.ErrNoProgress":           io.ErrNoProgress,
		"io.ErrClosedPipe":           io.ErrClosedPipe,
		"bufio.ErrTooLong":           bufio.ErrTooLong,
		"bufio.ErrBufferFull":        bufio.ErrBufferFull,
		"bufio.ErrNegativeCount":     bufio.ErrNegativeCount,
		"bufio.ErrInvalidUnreadByte": bufio.ErrInvalidUnreadByte,
		"bufio.ErrInvalidUnreadRune": bufio.ErrInvalidUnreadRune,
		"bufio.ErrNegativeAdvance":   bufio.ErrNegativeAdvance,
		"bufio.ErrAdvanceTooFar":     bufio.ErrAdvanceTooFar,
		"bufio.ErrBadReadCount":      bufio.ErrBadReadCount,
		"bufio.ErrFinalToken":        bufio.ErrFinalToken,
		"bytes.ErrTooLarge":          bytes.ErrTooLarge,
		"hex.ErrLength":              hex.ErrLength,
		"path.ErrBadPattern":         path.ErrBadPattern,
		"strconv.ErrRange":           strconv.ErrRange,
		"strconv.ErrSyntax":          strconv.ErrSyntax,
		"fs.SkipDir":                 fs.SkipDir,
		"fs.SkipAll":                 fs.SkipAll,
		"net.ErrClosed":              net.ErrClosed,
		"net.ErrWriteToConnected":    net.ErrWriteToConnected,
		"os.ErrInvalid":              os.ErrInvalid,
		"os.ErrPermission":           os.ErrPermission,
		"os.ErrExist":                os.ErrExist,
		"os.ErrNotExist":             os.ErrNotExist,
		"os.ErrClosed":               os.ErrClosed,
		"os.ErrNoDeadline":           os.ErrNoDeadline,
		"os.ErrDeadlineExceeded":     os.ErrDeadlineExceeded,
		"os.ErrProcessDone":          os.ErrProcessDone,
		"os.ErrNoHandle":             os.ErrNoHandle,
		"concert.ErrClosed":          ErrClosed,
		"concert.ErrCanceled":        ErrCanceled,
		"concert.ErrGoexit":          ErrGoexit,
		"concert.ErrDeadlock":        ErrDeadlock,
		"concert.ErrNotRegistered":   ErrNotRegistered,
		"concert.ErrElsewhere":       ErrElsewhere,
	}
}

// standardErrors names error types of the standard library. An error of such a
// type is sent with its fields, under the name of the type.
var standardErrors = map[reflect.Type]string{}

// standardErrorTypes has the same types as standardErrors, by name.
var standardErrorTypes = map[string]errorType{}

func init() {
	addStandardError[*fs.PathError]()
	addStandardError[*os.LinkError]()
	addStandardError[*os.SyscallError]()
	addStandardError[syscall.Errno]()
	addStandardError[*strconv.NumError]()
	addStandardError[*net.OpError]()
	addStandardError[*net.DNSError]()
	addStandardError[*net.AddrError]()
	addStandardError[*net.ParseError]()
	addStandardError[net.InvalidAddrError]()
	addStandardError[net.UnknownNetworkError]()
}

func addStandardError[E error]() {
	t := reflect.TypeFor[E]()
	name := "std/" + t.String()
	standardErrors[t] = name
	standardErrorTypes[name] = errorTypeFor[E]()
	valueCodec.Learn(t)
}

// errnoPrefix is the beginning of the name with which a syscall.Errno is sent
// as a sentinel. It contains the operating system and the architecture, because
// each has its own error numbers. The number follows this prefix.
const errnoPrefix = "syscall.Errno " + runtime.GOOS + "/" + runtime.GOARCH + " "

func errnoName(e syscall.Errno) string { return errnoPrefix + strconv.FormatUint(uint64(e), 10) }

// errnoNamed is the reverse of errnoName. ok is false if the number comes from
// another operating system or architecture, where it has another meaning.
func errnoNamed(name string) (syscall.Errno, bool) {
	number, ok := strings.CutPrefix(name, errnoPrefix)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseUint(number, 10, strconv.IntSize)
	return syscall.Errno(n), err == nil
}

// addStandard adds the error numbers in a chain, and the first error of each
// type of standardErrors.
func (w *wireError) addStandard(all []error, n *nesting) {
	for _, e := range all {
		if number, ok := e.(syscall.Errno); ok {
			w.Sentinels = append(w.Sentinels, errnoName(number))
		}
		if name, ok := standardErrors[reflect.TypeOf(e)]; ok && w.Values[name] == nil {
			w.add(name, standardErrorTypes[name], e, n)
		}
	}
	slices.Sort(w.Sentinels)
	w.Sentinels = slices.Compact(w.Sentinels)
}
