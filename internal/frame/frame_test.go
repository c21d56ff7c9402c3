package frame_test

import (
	"bytes"
	"errors"
	"io"
	"reflect"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"concert/executor"
	"concert/internal/frame"
)

func TestReader_RoundTrips(t *testing.T) {
	heads := []frame.CallHead{
		{Seq: 7, Left: -time.Second, Name: "f", Count: 2},
		{Name: strings.Repeat("n", 65535)},
		{Seq: 1<<32 - 1, Name: "f", Count: 1},
	}
	args := []frame.Payload{
		{Encoded: executor.Encoded{Kind: 2, Bytes: []byte("abc")}},
		{Encoded: executor.Encoded{Kind: 9}, Shared: true, Span: frame.Span{Offset: 1 << 40, Length: 1}},
		{Encoded: executor.Encoded{Bytes: []byte{}}},
	}
	outcomes := []frame.Outcome{
		{ID: frame.ID{Seq: 1, Index: 5}, Ran: time.Hour, Value: frame.Payload{Encoded: executor.Encoded{Kind: 1, Bytes: []byte("x")}}},
		{ID: frame.ID{Seq: 2}, Value: frame.Payload{Shared: true, Span: frame.Span{Length: 1 << 63}}},
	}
	progress := frame.ProgressBody{ID: frame.ID{Seq: 4, Index: 1}, Done: -1, Total: 1 << 62}
	var b []byte
	b = frame.AppendHello(b, frame.HelloBody{Version: 99, Flags: frame.Slots})
	b = frame.AppendReady(b)
	b = frame.AppendBroken(b, []byte("why"))
	left := args
	for _, h := range heads {
		start := len(b)
		b = frame.AppendCall(b, h)
		for range h.Count {
			b = frame.AppendArg(b, left[0], 0)
			left = left[1:]
		}
		b = frame.EndCall(b, start, 0)
	}
	b = frame.AppendID(b, frame.Started, frame.ID{Seq: 6, Index: 2})
	b = frame.AppendProgress(b, progress)
	for _, o := range outcomes {
		b = frame.AppendResult(b, o)
	}
	b = frame.AppendFailure(b, frame.Outcome{ID: frame.ID{Seq: 8, Index: 3}, Ran: 5, Error: []byte("bad")})
	b = frame.AppendCancel(b, frame.ID{Seq: 9, Index: 4}, frame.Expired)
	head := frame.ResultHead(nil, outcomes[0], 1)
	b = append(append(b, head...), 'x')
	b = frame.AppendShare(b, executor.SharedID{15: 1}, args[0], 0)
	b = append(frame.AppendShare(b, executor.SharedID{2}, frame.Payload{Encoded: executor.Encoded{Kind: 2}}, 3), "abc"...)
	file := frame.Payload{Encoded: executor.Encoded{Kind: 9}, Shared: true, Span: frame.Span{Length: 1 << 30}}
	b = frame.AppendShare(b, executor.SharedID{3}, file, 0)
	b = frame.AppendUnshare(b, executor.SharedID{3})

	for name, r := range map[string]io.Reader{
		"at once": bytes.NewReader(b), "byte by byte": iotest.OneByteReader(bytes.NewReader(b)), "in halves": iotest.HalfReader(bytes.NewReader(b)),
	} {
		in := frame.NewReader(r, 1<<20)
		next := func(want frame.Type) []byte {
			t.Helper()
			got, body, err := in.Next()
			if got != want || err != nil {
				t.Fatalf("%s: Next() = %c, %v; want %c", name, got, err, want)
			}
			return body
		}
		equal := func(got, want any, err error) {
			t.Helper()
			if !reflect.DeepEqual(got, want) || err != nil {
				t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
			}
		}
		var shared executor.SharedID
		var value frame.Payload
		hello, err := frame.ParseHello(next(frame.Hello))
		equal(hello, frame.HelloBody{Version: 99, Flags: frame.Slots}, err)
		next(frame.Ready)
		equal(string(next(frame.Broken)), "why", nil)
		left := args
		for _, want := range heads {
			got, rest, err := frame.ParseCall(next(frame.Call), "f")
			equal(got, want, err)
			for range got.Count {
				var p frame.Payload
				p, rest, err = frame.NextArg(rest)
				equal(p, left[0], err)
				left = left[1:]
			}
			equal(len(rest), 0, nil)
		}
		id, err := frame.ParseID(next(frame.Started))
		equal(id, frame.ID{Seq: 6, Index: 2}, err)
		p, err := frame.ParseProgress(next(frame.Progress))
		equal(p, progress, err)
		for _, want := range outcomes {
			got, err := frame.ParseResult(next(frame.Result))
			equal(got, want, err)
		}
		f, err := frame.ParseFailure(next(frame.Failure))
		equal(f, frame.Outcome{ID: frame.ID{Seq: 8, Index: 3}, Ran: 5, Error: []byte("bad")}, err)
		id, why, err := frame.ParseCancel(next(frame.Cancel))
		equal([]any{id, why}, []any{frame.ID{Seq: 9, Index: 4}, frame.Expired}, err)
		got, err := frame.ParseResult(next(frame.Result))
		equal(got, outcomes[0], err)
		for _, want := range []any{executor.SharedID{15: 1}, args[0], executor.SharedID{2}, args[0], executor.SharedID{3}, file} {
			if id, first := want.(executor.SharedID); first {
				shared, value, err = frame.ParseShare(next(frame.Share))
				equal(shared, id, err)
			} else {
				equal(value, want, nil)
			}
		}
		shared, err = frame.ParseUnshare(next(frame.Unshare))
		equal(shared, executor.SharedID{3}, err)
		if _, _, err := in.Next(); err != io.EOF {
			t.Errorf("%s: Next() at the end = %v, want EOF", name, err)
		}
		if in.Count() != int64(len(b)) {
			t.Errorf("%s: Count() = %d, want %d", name, in.Count(), len(b))
		}
	}
}

func TestReader_LargeFrames(t *testing.T) {
	big := bytes.Repeat([]byte("0123456789"), 1<<20)
	b := frame.AppendResult(nil, frame.Outcome{Value: frame.Payload{Encoded: executor.Encoded{Bytes: big}}})
	b = frame.AppendID(b, frame.Started, frame.ID{Seq: 2})
	in := frame.NewReader(bytes.NewReader(b), 1<<24)
	_, body, err := in.Next()
	if err != nil {
		t.Fatal(err)
	}
	if o, err := frame.ParseResult(body); err != nil || !bytes.Equal(o.Value.Bytes, big) {
		t.Errorf("%d bytes, %v", len(o.Value.Bytes), err)
	}
	if kind, _, err := in.Next(); kind != frame.Started || err != nil {
		t.Errorf("after a large frame: %c, %v", kind, err)
	}
}

// TestReader_HostileLength: if the length of a frame is 0, above the maximum,
// or larger than the data that follows, Next must fail, and must not allocate
// that many bytes.
func TestReader_HostileLength(t *testing.T) {
	if _, _, err := frame.NewReader(bytes.NewReader([]byte{255, 255, 255, 255, 'R'}), 1<<20).Next(); !errors.Is(err, frame.ErrFrame) {
		t.Errorf("a length of 4 GiB: %v, want ErrFrame", err)
	}
	if _, _, err := frame.NewReader(bytes.NewReader(make([]byte, 8)), 1<<20).Next(); !errors.Is(err, frame.ErrFrame) {
		t.Errorf("a length of 0: %v, want ErrFrame", err)
	}
	in := frame.NewReader(bytes.NewReader([]byte{0, 0, 0, 64, 'R', 1, 2, 3}), 1<<31-1)
	allocated := testing.AllocsPerRun(1, func() {
		if _, _, err := in.Next(); err != io.ErrUnexpectedEOF {
			t.Errorf("a frame of 1 GiB with 4 bytes: %v, want ErrUnexpectedEOF", err)
		}
	})
	if allocated > 4 {
		t.Errorf("%v allocations", allocated)
	}
}

// TestParseShare_Invalid: a Share that is too short, or whose file would be
// empty, too large, or not begin at 0, is an error.
func TestParseShare_Invalid(t *testing.T) {
	for _, span := range []frame.Span{{}, {Length: 1 << 63}, {Offset: 1, Length: 1}} {
		b := frame.AppendShare(nil, executor.SharedID{}, frame.Payload{Shared: true, Span: span}, 0)
		if _, _, err := frame.ParseShare(b[frame.HeaderSize:]); !errors.Is(err, frame.ErrFrame) {
			t.Errorf("ParseShare() with the span %+v = %v, want ErrFrame", span, err)
		}
		for n := range b[frame.HeaderSize:] {
			if _, _, err := frame.ParseShare(b[frame.HeaderSize:][:n]); !errors.Is(err, frame.ErrFrame) {
				t.Errorf("ParseShare() of %d bytes = %v, want ErrFrame", n, err)
			}
		}
	}
	if _, err := frame.ParseUnshare(make([]byte, 15)); !errors.Is(err, frame.ErrFrame) {
		t.Errorf("ParseUnshare() of 15 bytes = %v, want ErrFrame", err)
	}
}

// TestReader_ErrorIsNotEnd: if the underlying reader returns an error, Next
// must return the same error. The next call of Next must return the frame.
func TestReader_ErrorIsNotEnd(t *testing.T) {
	b := frame.AppendID(nil, frame.Started, frame.ID{Seq: 6})
	timeout := iotest.TimeoutReader(iotest.OneByteReader(bytes.NewReader(b)))
	in := frame.NewReader(timeout, 100)
	if _, _, err := in.Next(); err != iotest.ErrTimeout {
		t.Fatalf("Next() = %v, want the reader's timeout", err)
	}
	kind, body, err := in.Next()
	if id, _ := frame.ParseID(body); kind != frame.Started || err != nil || id.Seq != 6 {
		t.Errorf("Next() after the timeout = %c, %v", kind, err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add(frame.EndCall(frame.AppendArg(frame.AppendCall(nil, frame.CallHead{Seq: 7, Name: "f", Count: 1}), frame.Payload{Encoded: executor.Encoded{Bytes: []byte("abc")}}, 0), 0, 0))
	f.Add(frame.AppendResult(frame.AppendHello(nil, frame.HelloBody{Version: 1}), frame.Outcome{Value: frame.Payload{Shared: true}}))
	f.Add(frame.AppendCancel(frame.AppendProgress(nil, frame.ProgressBody{}), frame.ID{Seq: 1}, frame.Canceled))
	f.Add(frame.AppendFailure(frame.AppendID(nil, frame.Started, frame.ID{}), frame.Outcome{}))
	f.Add(frame.AppendShare(frame.AppendUnshare(nil, executor.SharedID{1}), executor.SharedID{2}, frame.Payload{Shared: true, Span: frame.Span{Length: 1 << 20}}, 0))
	f.Add(frame.AppendTrace(frame.AppendWatch(nil), "00-1-2-01"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := frame.NewReader(iotest.HalfReader(bytes.NewReader(b)), 1<<20)
		var again []byte
		for {
			kind, body, err := in.Next()
			if err != nil {
				return
			}
			again = again[:0]
			switch kind {
			case frame.Call:
				h, rest, err := frame.ParseCall(body, "f")
				if err != nil {
					break
				}
				again = frame.AppendCall(again, h)
				for range h.Count {
					var p frame.Payload
					if p, rest, err = frame.NextArg(rest); err != nil {
						again = nil
						break
					}
					again = frame.AppendArg(again, p, 0)
				}
				if again != nil {
					again = append(again, rest...)
				}
			case frame.Trace:
				if text, err := frame.ParseTrace(body); err == nil {
					again = frame.AppendTrace(again, text)
				}
			case frame.Share:
				if id, p, err := frame.ParseShare(body); err == nil {
					again = frame.AppendShare(again, id, p, 0)
				}
			case frame.Unshare:
				if id, err := frame.ParseUnshare(body); err == nil {
					again = frame.AppendUnshare(again, id)
				}
			case frame.Cancel:
				if id, why, err := frame.ParseCancel(body); err == nil {
					again = frame.AppendCancel(again, id, why)
				}
			case frame.Hello:
				if h, err := frame.ParseHello(body); err == nil {
					again = frame.AppendHello(again, h)
				}
			case frame.Started, frame.TakeBack, frame.GivenBack:
				if id, err := frame.ParseID(body); err == nil {
					again = frame.AppendID(again, kind, id)
				}
			case frame.Progress:
				if p, err := frame.ParseProgress(body); err == nil {
					again = frame.AppendProgress(again, p)
				}
			case frame.Result:
				if o, err := frame.ParseResult(body); err == nil {
					again = frame.AppendResult(again, o)
				}
			case frame.Failure:
				if o, err := frame.ParseFailure(body); err == nil {
					again = frame.AppendFailure(again, o)
				}
			}
			// Parsing must not lose data: the parsed frame has the same
			// encoding.
			if len(again) > 0 && !bytes.Equal(again[frame.HeaderSize:], body) {
				t.Errorf("frame %c: after parsing, the body %x is encoded as %x", kind, body, again[frame.HeaderSize:])
			}
		}
	})
}

// TestReader_Limit: if a frame is longer than the limit, Next must return only
// its beginning, and must return the next frames unchanged. This must hold for
// all ways in which the stream is split. The Reader must not allocate memory
// for the bytes that it drops.
func TestReader_Limit(t *testing.T) {
	const limit = 100 << 10
	var stream []byte
	sizes := []int{10, limit - 17, limit, 3 * limit, 5, 0, 20 * limit, 20 * limit, limit + 1, 1}
	for i, size := range sizes {
		stream = frame.AppendFailure(stream, frame.Outcome{ID: frame.ID{Seq: uint32(i)}, Error: bytes.Repeat([]byte{byte(i)}, size)})
	}
	for name, wrap := range map[string]func(io.Reader) io.Reader{
		"at once":     func(r io.Reader) io.Reader { return r },
		"halves":      iotest.HalfReader,
		"single":      iotest.OneByteReader,
		"interrupted": func(r io.Reader) io.Reader { return iotest.TimeoutReader(r) },
		"at the end":  iotest.DataErrReader,
	} {
		t.Run(name, func(t *testing.T) {
			in := frame.NewReader(wrap(bytes.NewReader(stream)), 1<<30)
			in.Limit(limit)
			for i, size := range sizes {
				kind, body, err := in.Next()
				for err == iotest.ErrTimeout {
					kind, body, err = in.Next()
				}
				if err != nil || kind != frame.Failure {
					t.Fatalf("frame %d: %c, %v", i, kind, err)
				}
				o, err := frame.ParseFailure(body)
				if err != nil || o.ID.Seq != uint32(i) {
					t.Fatalf("frame %d: %+v, %v", i, o, err)
				}
				whole := 16 + size
				if got := in.Cut(); whole+1 > limit && got != whole || whole+1 <= limit && got != 0 {
					t.Errorf("frame %d of %d bytes: Cut() = %d", i, whole, got)
				}
				if in.Cut() == 0 && len(body) != whole {
					t.Errorf("frame %d: %d bytes, want %d", i, len(body), whole)
				}
			}
			if _, _, err := in.Next(); err != io.EOF {
				t.Errorf("at the end: %v, want EOF", err)
			}
			if in.Count() != int64(len(stream)) {
				t.Errorf("Count() = %d, want %d", in.Count(), len(stream))
			}
		})
	}
	t.Run("memory", func(t *testing.T) {
		var before, after runtime.MemStats
		in := frame.NewReader(bytes.NewReader(stream), 1<<30)
		in.Limit(limit)
		runtime.ReadMemStats(&before)
		for {
			if _, _, err := in.Next(); err != nil {
				break
			}
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 6*limit {
			t.Errorf("%d bytes were allocated, and the limit for a frame is %d", n, limit)
		}
	})
	t.Run("the end within a frame", func(t *testing.T) {
		in := frame.NewReader(bytes.NewReader(stream[:len(stream)-limit]), 1<<30)
		in.Limit(limit)
		for {
			_, _, err := in.Next()
			if err == io.ErrUnexpectedEOF {
				break
			}
			if err != nil {
				t.Fatalf("error %v, want ErrUnexpectedEOF", err)
			}
		}
	})
}

// TestSetWireName: a Call must contain the name that SetWireName has set. If
// another name is set for the same function, SetWireName must panic.
func TestSetWireName(t *testing.T) {
	frame.SetWireName("frame_test.short", "frame_test.short with its text")
	frame.SetWireName("frame_test.short", "frame_test.short with its text")
	for name, want := range map[string]string{"frame_test.short": "frame_test.short with its text", "frame_test.other": "frame_test.other"} {
		b := frame.EndCall(frame.AppendCall(nil, frame.CallHead{Name: name}), 0, 0)
		c, _, err := frame.ParseCall(b[5:], "")
		if err != nil || string(c.Name) != want {
			t.Errorf("the Call of %s has the name %q, %v; want %q", name, c.Name, err, want)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a second name does not panic")
		}
	}()
	frame.SetWireName("frame_test.short", "another")
}
