package executortest

import (
	"container/list"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/big"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"concert"
)

// kindOf is a kind of value that a case sends through an executor and back.
// The function trip returns the received value (got) and the original value
// (want).
type kindOf struct {
	name string
	trip func(*suite, concert.Executor) (got, want any, err error)
}

// kinds are the values that every executor must copy exactly.
var kinds []kindOf

// kind adds a value that is sent through a function of its own type. The
// compiler instantiates Submit for each such type, so kind adds only a few
// values.
func kind[T any](name string, v T) {
	kindOnDemand(name, func() T { return v })
}

// kindOnDemand does the same as kind, for a value that the function make
// returns. It is for large values: only the process that sends the value
// calls make. Worker processes do not call it when they start.
func kindOnDemand[T any](name string, make func() T) {
	echo := concert.Register("executortest.echo "+name, func(_ context.Context, v T) (T, error) { return v, nil })
	kinds = append(kinds, kindOf{name, func(s *suite, ex concert.Executor) (got, want any, err error) {
		v := make()
		got, err = concert.Submit(s.ctx, ex, echo, v).Result(s.ctx)
		return got, v, err
	}})
}

// kindIn adds a value that is sent in an interface.
func kindIn(name string, v any) {
	kinds = append(kinds, kindOf{name, func(s *suite, ex concert.Executor) (got, want any, err error) {
		got, err = concert.Submit(s.ctx, ex, echoAny, v).Result(s.ctx)
		return got, v, err
	}})
}

// holder has a field of type T, and another field.
type holder[T any] struct {
	Value T
	End   string
}

// shapes has fields of several types that contain a T.
type shapes[T any] struct {
	Alone   T
	Pointer *T
	Double  **T
	Slice   []T
	Array   [2]T
	Map     map[string]T
	Field   holder[T]
	Any     any
	Anys    []any
}

// allKinds adds v, and pointers, slices, arrays, maps, fields and interfaces
// that contain v, as the fields of one struct.
func allKinds[T any](v T) {
	name := reflect.TypeFor[T]().String()
	p := &v
	all := shapes[T]{v, p, &p, []T{v, v}, [2]T{v, v}, map[string]T{"k": v}, holder[T]{v, "end"}, v, []any{v, holder[any]{p, "end"}, map[string]any{"k": []T{v}}}}
	if t := reflect.TypeFor[shapes[T]](); !shaped[t] {
		shaped[t] = true
		concert.RegisterType[shapes[T]](fmt.Sprint("executortest.shapes", len(shaped)))
	}
	kindIn(name, v)
	kindIn("*"+name, p)
	kindIn("shapes of "+name, all)
	kindIn("pointer to shapes of "+name, &all)
}

// shaped has the instances of shapes that are registered.
var shaped = map[reflect.Type]bool{}

// keyKind adds a map with these keys.
func keyKind[K comparable](keys ...K) {
	m := make(map[K]int)
	for i, k := range keys {
		m[k] = i
	}
	kindIn("map by "+reflect.TypeFor[K]().String(), m)
}

type (
	celsius float64
	grade   string
	flags   uint8
	texts   []string
	table   map[string][]int
	money   struct{ cents int64 } // encoded by its text methods
	point   struct{ X, Y int32 }
	base    struct{ ID int }
	derived struct {
		base
		Name string
	}
	event struct {
		time.Time // Time's methods are promoted, but must not encode an event, because they would omit the name
		Name      string
	}
	tree struct {
		Kids []*tree
		Data map[string]any
	}
	pair[A, B any] struct {
		First  A
		Second B
	}
	tagged struct {
		A int    `json:"a,omitempty"`
		B string `cbor:"b"`
	}
	cached struct {
		N int
		_ [64]int
	}
)

// MarshalText encodes a money.
func (m money) MarshalText() ([]byte, error) { return fmt.Append(nil, m.cents), nil }

// UnmarshalText decodes a money.
func (m *money) UnmarshalText(b []byte) error { _, err := fmt.Sscan(string(b), &m.cents); return err }

func init() {
	concert.RegisterType[holder[any]]("executortest.holder")
	concert.RegisterType[pair[int, any]]("executortest.pair")
	allKinds(true)
	allKinds(-7)
	allKinds(int8(math.MinInt8))
	allKinds(int16(math.MinInt16))
	allKinds(int32(math.MinInt32))
	allKinds(int64(math.MinInt64))
	allKinds(uint(7))
	allKinds(uint8(255))
	allKinds(uint16(math.MaxUint16))
	allKinds(uint32(math.MaxUint32))
	allKinds(uint64(math.MaxUint64))
	allKinds(uintptr(9))
	allKinds(float32(0.1))
	allKinds(math.Copysign(0, -1))
	allKinds(complex64(1 + 2i))
	allKinds(complex(math.Inf(1), -0.5))
	allKinds("text, and not \xff UTF-8")
	allKinds([]byte{0, 255})
	allKinds([]byte(nil))
	allKinds([]int{})
	allKinds([]float64{1.5, math.Inf(-1)})
	allKinds(make([]uint16, 50))
	allKinds([][]string{nil, {}, {"a"}})
	allKinds([3]point{{1, 2}})
	allKinds(map[string]int(nil))
	allKinds(map[int]map[bool]string{1: {true: "x"}, 2: nil})
	allKinds(struct{}{})
	allKinds(celsius(36.6))
	allKinds(grade("A"))
	allKinds(flags(3))
	allKinds(texts{"a"})
	allKinds(texts(nil))
	allKinds(table{"a": {1}, "b": nil})
	allKinds(money{999})
	allKinds(derived{base{1}, "n"})
	allKinds(event{time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), "birth"})
	allKinds(&tree{Kids: []*tree{{}, nil}, Data: map[string]any{"a": 1, "b": []any{-1.5, nil, "c"}}})
	allKinds(pair[celsius, *pair[string, any]]{1, &pair[string, any]{"x", grade("B")}})
	allKinds(tagged{0, ""})
	allKinds(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	allKinds(time.Time{})
	allKinds(90 * time.Minute)
	allKinds(time.March)
	allKinds(big.NewInt(1).Lsh(big.NewInt(-3), 200))
	allKinds(big.NewRat(1, 3))
	allKinds(big.NewFloat(1.5).SetPrec(200))
	allKinds(net.IP{1, 2, 3, 4})
	allKinds(net.IPv4(1, 2, 3, 4))
	allKinds(net.IPNet{IP: net.IP{10, 0, 0, 0}, Mask: net.IPMask{255, 0, 0, 0}})
	allKinds(&net.TCPAddr{IP: net.IP{1, 2, 3, 4}, Port: 5, Zone: "z"})
	allKinds(netip.MustParseAddr("fe80::1%eth0"))
	allKinds(netip.MustParsePrefix("10.0.0.0/8"))
	allKinds(url.Values{"a": {"b", ""}})
	allKinds(url.URL{Scheme: "https", User: url.UserPassword("u", "p"), Host: "h", Path: "/p", RawQuery: "q", Fragment: "f"})
	allKinds(json.RawMessage(`{"a":1}`))
	allKinds(json.Number("1.50"))
	allKinds(fs.FileMode(0o644))
	allKinds(syscall.ENOENT)
	allKinds(&fs.PathError{Op: "open", Path: "/x", Err: syscall.ENOENT})
	allKinds(&net.OpError{Op: "dial", Net: "tcp", Addr: &net.TCPAddr{IP: net.IP{1, 2, 3, 4}, Port: 5}, Err: io.ErrUnexpectedEOF})
	kind("bool", true)
	kind("int", -7)
	kind("float64", math.Copysign(0, -1))
	kind("string", "text, and not \xff UTF-8")
	kind("bytes", []byte{0, 255})
	kind("nil bytes", []byte(nil))
	kind("numbers", []float64{1.5, math.Inf(-1)})
	kind("array", [3]point{{1, 2}})
	kind("map", table{"a": {1}, "b": nil})
	kind("pointer", new(7))
	kind("pointer to a pointer", new(new("x")))
	kind("text methods", money{999})
	kind("struct", derived{base{1}, "n"})
	kindOnDemand("structs that are mostly zero", func() []cached { return make([]cached, 10_000) })
	kind("tree", &tree{Kids: []*tree{{}, nil}, Data: map[string]any{"a": 1, "b": []any{-1.5, nil, "c"}}})
	kind("time", time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC))
	kind("big number", big.NewRat(1, 3))
	kind("error", &fs.PathError{Op: "open", Path: "/x", Err: syscall.ENOENT})
	keyKind(1, -1)
	keyKind(int8(1), int8(2))
	keyKind("", "a")
	keyKind(1.5, math.Inf(1))
	keyKind(true, false)
	keyKind(money{1}, money{2})
	keyKind(point{1, 2}, point{2, 1})
	keyKind([2]string{"a"}, [2]string{"", "a"})
	keyKind(netip.MustParseAddr("::1"), netip.MustParseAddr("1.2.3.4"))
	keyKind(time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), time.Time{})
	keyKind(time.Second, time.Minute)
	keyKind[any](1, "1", int8(1), grade("1"), point{1, 1})
	keyKind(grade("a"), grade("b"))
	keyKind(complex(1, 2), complex(2, 1))
}

var (
	echoAny   = concert.Register("executortest.echoAny", func(_ context.Context, v any) (any, error) { return v, nil })
	echoTimes = concert.Register("executortest.echoTimes", func(_ context.Context, ts []time.Time) ([]time.Time, error) { return ts, nil })
	echoError = concert.Register("executortest.echoError", func(_ context.Context, e []error) ([]error, error) { return e, nil })
	echoRegex = concert.Register("executortest.echoRegex", func(_ context.Context, r *regexp.Regexp) (*regexp.Regexp, error) { return r, nil })
)

var kindCases = []testCase{
	{"Kinds", "arguments and results of all types arrive unchanged", func(s *suite) {
		ex := s.executor(Config{})
		if len(kinds) < 250 {
			s.Errorf("%d kinds", len(kinds))
		}
		for _, k := range kinds {
			got, want, err := k.trip(s, ex)
			if err != nil || !reflect.DeepEqual(got, want) {
				s.Errorf("%s: %#v became %#v, %v", k.name, want, got, err)
			}
		}
		re := must[*regexp.Regexp](s)(concert.Submit(s.ctx, ex, echoRegex, regexp.MustCompile("a+")).Result(s.ctx))
		if re.String() != "a+" {
			s.Errorf("the regular expression became %v", re)
		}
	}},

	{"Zones", "a time.Time keeps its zone", func(s *suite) {
		ex := s.executor(Config{})
		times := []time.Time{time.Now(), time.Date(2026, 7, 1, 9, 0, 0, 0, time.FixedZone("", 7200)), time.Date(-1, 1, 1, 0, 0, 0, 0, time.FixedZone("X", -3601))}
		if berlin, err := time.LoadLocation("Europe/Berlin"); err == nil {
			times = append(times, time.Date(2026, 7, 1, 9, 0, 0, 0, berlin), time.Date(2026, 1, 1, 9, 0, 0, 0, berlin))
		}
		for i, got := range must[[]time.Time](s)(concert.Submit(s.ctx, ex, echoTimes, times).Result(s.ctx)) {
			if want := times[i]; !got.Equal(want) || got.Round(0).String() != want.Round(0).String() || got.Location().String() != want.Location().String() {
				s.Errorf("%v in %v became %v in %v", want, want.Location(), got, got.Location())
			}
		}
	}},

	{"ErrorValues", "errors in arguments and results keep their type and identity", func(s *suite) {
		ex := s.executor(Config{})
		sent := []error{io.EOF, errOurs, &codeError{7, "seven"}, nil, fmt.Errorf("wrapped: %w", errors.Join(fs.ErrNotExist, &codeError{8, "eight"}))}
		got := must[[]error](s)(concert.Submit(s.ctx, ex, echoError, sent).Result(s.ctx))
		var c *codeError
		if len(got) != 5 || got[0] != io.EOF || got[1] != errOurs || got[3] != nil || !errors.As(got[2], &c) || c.Code != 7 {
			s.Fatalf("errors became %v", got)
		}
		if last := got[4]; last.Error() != sent[4].Error() || !errors.Is(last, fs.ErrNotExist) || !errors.As(last, &c) || c.Note != "eight" {
			s.Errorf("%v became %v", sent[4], last)
		}
	}},

	{"Refused", "a value that cannot be copied is an error that names the path to it", func(s *suite) {
		if s.Shared {
			return // values are not copied
		}
		ex := s.executor(Config{})
		full := list.New()
		full.PushBack(1)
		var count atomic.Int64
		count.Store(7)
		var locked struct{ M sync.Mutex }
		locked.M.Lock()
		circle := &tree{}
		circle.Kids = []*tree{{Kids: []*tree{circle}}}
		self := map[string]any{}
		self["self"] = self
		var deep any
		for range 100_000 {
			deep = []any{deep}
		}
		twice, twiceAny := &tree{}, any("end")
		for range 60 {
			twice, twiceAny = &tree{Kids: []*tree{twice, twice}}, []any{twiceAny, twiceAny}
		}
		type local struct{ A int }
		var m sync.Map
		m.Store(1, 1)
		for _, c := range []struct {
			v    any
			path string
		}{
			{[]any{1, func() {}}, "[1]"},
			{map[string]any{"k": make(chan int)}, `["k"]`},
			{holder[any]{full, ""}, ".Value"},
			{pair[int, any]{1, &count}, ".Second"},
			{[]any{&m}, "[0]"},
			{holder[any]{&locked, ""}, ".Value"},
			{circle, ".Kids[0].Kids[0]"},
			{self, `["self"]`},
			{deep, "nested more than"},
			{twice, ".Kids[1]"},
			{twiceAny, "refers many times to the same data"},
			{[]any{local{1}}, "[0]"},
			{holder[any]{strings.NewReader("x"), ""}, ".Value"},
			{[]any{context.Background()}, "[0]"},
		} {
			_, err := concert.Submit(s.ctx, ex, echoAny, c.v).Result(s.ctx)
			if err == nil || !strings.Contains(err.Error(), c.path) || !strings.Contains(err.Error(), "executortest.echoAny") || len(err.Error()) > 1000 {
				s.Errorf("%T: %v; want an error with %q and the function", c.v, err, c.path)
			}
		}
		must[int](s)(concert.Submit(s.ctx, ex, square, 2).Result(s.ctx))
	}},
}
