package values

import (
	"crypto/x509"
	"encoding/json"
	"log/slog"
	"math/big"
	"math/rand/v2"
	"net/netip"
	"net/url"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestStandard_URL: a URL must arrive unchanged, even if the text of the URL
// does not show all of its fields.
func TestStandard_URL(t *testing.T) {
	for _, u := range []url.URL{
		{}, {Path: "//a"}, {Path: "a:b"}, {Path: "/\x00\xff"}, {Host: "h", Path: "p"}, {Scheme: "http", Host: "h", RawQuery: "a#b"}, {Scheme: "HTTP", Host: "h"}, {Scheme: "1x"},
		{Fragment: "a b", RawFragment: "a%20b"}, {Fragment: "a", RawFragment: "other"}, {Path: "/a/b", RawPath: "/a%2Fb"}, {Path: "/a/b", RawPath: "/zzz"},
		{Opaque: "//x"}, {Scheme: "mailto", Opaque: "x@y", Path: "p"}, {Scheme: "http", Host: "a b", ForceQuery: true}, {Scheme: "x", OmitHost: true, Path: "/y"}, {Host: "[fe80::1%25en0]:8080"},
		{User: url.User("")}, {User: url.User("a:/@")}, {User: url.UserPassword("", "")}, {User: url.UserPassword("a", "")}, {User: url.UserPassword("\xff", "p:@")}, {User: new(url.Userinfo)},
	} {
		c := newCodec()
		c.Learn(reflect.TypeFor[url.URL]())
		for _, v := range []any{&u, &struct{ U *url.URL }{&u}, &[]any{u, &u}, &map[url.URL]int{u: 1}} {
			if u.User != nil && reflect.TypeOf(v).Elem().Kind() == reflect.Map {
				continue // a copy of the key is not equal, because its field User is another pointer
			}
			got, err := trip(c, reflect.ValueOf(v))
			if err != nil || !reflect.DeepEqual(got.Interface(), v) {
				t.Errorf("%#v became %#v, %v", v, got.Elem(), err)
			}
		}
	}
}

// TestStandard_Userinfo: if bytes are not a user name with or without a
// password, Decode must fail.
func TestStandard_Userinfo(t *testing.T) {
	for _, b := range []string{"\x80", "\x83aaa", "\x81\x01", "\x82\x61a\x01", "\x82\x61a", "\xf6"} {
		if err := newCodec().Decode([]byte(b), reflect.ValueOf(new(url.Userinfo))); err == nil {
			t.Errorf("Decode(%q) succeeds", b)
		}
	}
}

// TestStandard_SystemNumber: error numbers and signal numbers must arrive
// unchanged. If they come from another system, Decode must fail.
func TestStandard_SystemNumber(t *testing.T) {
	c := newCodec()
	c.Learn(reflect.TypeFor[syscall.Errno]())
	c.Learn(reflect.TypeFor[syscall.Signal]())
	type both struct {
		E   syscall.Errno
		S   *syscall.Signal
		Any any
		Err error
	}
	for _, v := range []both{{}, {syscall.ENOENT, new(syscall.SIGINT), syscall.SIGTERM, syscall.ENOENT}, {syscall.Errno(1<<31 - 1), new(syscall.Signal(-1)), syscall.Errno(0), nil}} {
		if got, err := trip(c, reflect.ValueOf(&v)); err != nil || !reflect.DeepEqual(got.Interface(), &v) {
			t.Errorf("%#v became %#v, %v", v, got.Elem(), err)
		}
	}
	b, err := c.Encode(nil, reflect.ValueOf(new(syscall.ENOENT)), nil)
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Replace(string(b), system[:3], "xyz", 1)
	if err := c.Decode([]byte(other), reflect.ValueOf(new(syscall.Errno))); err == nil || !strings.Contains(err.Error(), "another system, xyz") {
		t.Errorf("the number of another system is decoded: %v", err)
	}
	for _, b := range []string{"\x02", "\x80", "\x82\x01\x01", "\x83\x61a\x01\x01"} {
		if err := c.Decode([]byte(b), reflect.ValueOf(new(syscall.Errno))); err == nil {
			t.Errorf("Decode(%q) succeeds", b)
		}
	}
}

// TestStandard_Inexact: if a copy by the methods of the standard library would
// differ from the value, Encode must fail.
func TestStandard_Inexact(t *testing.T) {
	longest := regexp.MustCompile("a+|aab")
	longest.Longest()
	type within struct{ R []*regexp.Regexp }
	for _, re := range []*regexp.Regexp{longest, regexp.MustCompilePOSIX("a+|a+b"), new(regexp.Regexp)} {
		_, err := newCodec().Encode(nil, reflect.ValueOf(&within{[]*regexp.Regexp{nil, re}}), nil)
		if err == nil || !strings.Contains(err.Error(), "values.within.R[1]: ") {
			t.Errorf("the regular expression %q is encoded: %v", re, err)
		}
	}
	if _, err := newCodec().Encode(nil, reflect.ValueOf(new(x509.OID)), nil); err == nil {
		t.Error("an x509.OID that is zero is encoded")
	}
	got, err := trip(newCodec(), reflect.ValueOf(&within{[]*regexp.Regexp{nil, regexp.MustCompile(`^\pL{10}(?i)x$`), regexp.MustCompile("")}}))
	if err != nil {
		t.Fatal(err)
	}
	if g := got.Elem().Interface().(within).R; g[0] != nil || !g[1].MatchString("äöüäöüäöüäX") || g[2].String() != "" {
		t.Errorf("regular expressions became %v", g)
	}
}

// TestStandard_Quick: methods for encoding must count as user code, except the
// quick methods of types of the standard library.
func TestStandard_Quick(t *testing.T) {
	quick := []any{
		new(big.Int), big.Rat{}, []big.Float{}, netip.Addr{}, map[string]netip.AddrPort{}, netip.Prefix{}, &rand.PCG{}, &rand.ChaCha8{}, &slog.LevelVar{}, slog.LevelInfo,
		x509.OID{}, url.URL{}, json.RawMessage{}, json.Number(""), time.Time{}, syscall.Errno(0),
	}
	for i, v := range append(quick, &regexp.Regexp{}, []struct{ R map[string]*regexp.Regexp }{}, half{}, secret{}) {
		c, typ := newCodec(), reflect.TypeOf(v)
		c.Learn(typ)
		always, _ := c.Methods(typ)
		if want := i >= len(quick); always != want || c.KnowsMethods() != want {
			t.Errorf("Methods(%v) = %v, KnowsMethods = %v; want %v", typ, always, c.KnowsMethods(), want)
		}
	}
}

// TestStandard_RegexpMemory: a regular expression must not need more memory
// than regexpMemory returns.
func TestStandard_RegexpMemory(t *testing.T) {
	alternatives := "aa"
	for i := range 330 {
		alternatives += "|" + string(rune(0x4e00+2*i)) + "a"
	}
	for _, expr := range []string{
		`^\pL{990}$`, `\A(?:\pL{30}){32}\z`, `^[\pL\pN]{990}$`, `^(?i:\PM{980})$`, strings.Repeat(`\pL`, 300), strings.Repeat("a", 100_000), strings.Repeat("(a?)", 10_000),
		strings.Repeat("[^a]", 10_000), "(?:" + strings.Repeat("(a?)", 100) + "){1000}", "x{0,1000}", "(?:(?:(?:a{10}){10}){10})", "(?:x|y|zz){1000}", `(?:\pL?){1000}`, "(?:(?:a{9,}){10}){10,10}", "^(?:" + alternatives + ")$",
	} {
		var before, after runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&before)
		re, err := regexp.Compile(expr)
		runtime.GC()
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Fatal(err)
		}
		if used, bound := int64(after.HeapAlloc)-int64(before.HeapAlloc), regexpMemory([]byte(expr)); used > int64(bound) {
			t.Errorf("%.30q needs %d bytes, more than the bound %d", expr, used, bound)
		}
		runtime.KeepAlive(re)
	}
	// Encode must append enough zero bytes for the memory that Decode counts.
	// Without them, Decode must fail.
	all := make([]*regexp.Regexp, 50)
	for i := range all {
		all[i] = regexp.MustCompile(`(?i)[a-z0-9\pL]{1000}`)
	}
	c, p := newCodec(), reflect.ValueOf(&all)
	b, err := c.Encode(nil, p, nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(b) < 50*1000*20 {
		t.Errorf("the encoding has only %d bytes", len(b))
	}
	if err := c.Decode(b, reflect.ValueOf(new([]*regexp.Regexp))); err != nil {
		t.Errorf("Decode: %v", err)
	}
	short := []byte(strings.TrimRight(string(b), "\x00"))
	if err := c.Decode(short, reflect.ValueOf(new([]*regexp.Regexp))); err == nil || !strings.Contains(err.Error(), "bytes of memory") {
		t.Errorf("Decode of %d bytes: %v", len(short), err)
	}
}

// credentials is an unexported name of url.Userinfo: if a struct embeds
// credentials, this field is unexported.
type credentials = url.Userinfo

// TestStandard_Embedded: if a struct embeds a type of the standard library
// under an unexported name, the embedded value must arrive unchanged. The zero
// Location must arrive unchanged too.
func TestStandard_Embedded(t *testing.T) {
	type account struct {
		credentials
		Zone *time.Location
	}
	v := account{*url.UserPassword("a", "b"), new(time.Location)}
	got, err := trip(newCodec(), reflect.ValueOf(&v))
	if err != nil || !reflect.DeepEqual(got.Elem().Interface(), v) {
		t.Errorf("%+v became %+v, %v", v, got.Elem(), err)
	}
}
