package python

import (
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"time"
)

// Naive is the location of a time.Time that corresponds to a datetime.datetime
// without a zone, in arguments and results.
var Naive = time.FixedZone("naive", 0)

func (e *encoder) encodeTime(t time.Time) error {
	if y := t.Year(); y < 1 || y > 9999 {
		return fail("the time %v is outside of the years 1 to 9999 of a datetime", t)
	}
	name, offset := t.Zone()
	if offset <= -24*60*60 || offset >= 24*60*60 {
		return fail("the time %v has an offset of a day or more", t)
	}
	e.form(formTime, 10)
	nanos := t.Nanosecond()
	for _, n := range []int{t.Year(), int(t.Month()), t.Day(), t.Hour(), t.Minute(), t.Second(), nanos / 1000, nanos % 1000} {
		e.buf = appendInt(e.buf, int64(n))
	}
	if t.Location() == Naive {
		e.buf = append(e.buf, 'N', 'N')
		return nil
	}
	e.buf = appendInt(e.buf, int64(offset))
	return e.text(name)
}

func (e *encoder) encodeDuration(d time.Duration) {
	const day = 24 * time.Hour
	days, rest := int64(d/day), d%day
	if rest < 0 {
		days, rest = days-1, rest+day
	}
	e.form(formDuration, 4)
	for _, n := range []int64{days, int64(rest / time.Second), int64(rest % time.Second / time.Microsecond), int64(rest % time.Microsecond)} {
		e.buf = appendInt(e.buf, n)
	}
}

// atForm reports whether a form follows. The first byte of its tuple has been
// read.
func (d *decoder) atForm(kind byte) bool { return kind == '(' && len(d.rest) > 4 && d.rest[4] == '.' }

// decodeForm reads a form. The first byte of its tuple has been read.
func (d *decoder) decodeForm(to reflect.Value) error {
	n, err := d.count()
	if err != nil {
		return err
	}
	d.rest = d.rest[1:] // the Ellipsis
	form, err := d.small()
	if err != nil {
		return err
	}
	switch n -= 2; {
	case form == formNumpy && n == 3:
		return d.decodeBuffer(to)
	case form == formTime && n == 10:
		return d.decodeTime(to)
	case form == formDuration && n == 4:
		return d.decodeDuration(to)
	case form == formText && n == 2:
		return d.decodeTextForm(to)
	}
	return d.bad("form %d with %d items does not exist in results", form, n)
}

// small reads an int of 32 bits in a form.
func (d *decoder) small() (int64, error) {
	kind, err := d.byte()
	if err == nil && kind != 'i' {
		err = d.bad("an item of a form has the type %q", kind)
	}
	if err != nil {
		return 0, err
	}
	word, err := d.uint32()
	return int64(int32(word)), err
}

// string reads a str or None in a form. It returns false for None.
func (d *decoder) string() (string, bool, error) {
	kind, err := d.byte()
	if err != nil || kind == 'N' {
		return "", false, err
	}
	if kind != 'u' {
		return "", false, d.bad("an item of a form has the type %q", kind)
	}
	var s string
	err = d.decodeString(reflect.ValueOf(&s).Elem())
	return s, true, err
}

func (d *decoder) decodeBuffer(to reflect.Value) error {
	name, _, err := d.string()
	if err != nil {
		return err
	}
	var shape []int
	if err := d.decode(reflect.ValueOf(&shape).Elem()); err != nil {
		return err
	}
	if kind, err := d.byte(); err != nil || kind != 's' {
		return d.bad("the bytes of an array have the type %q", kind)
	}
	b, err := d.sized()
	if err != nil {
		return err
	}
	a, err := newBuffer(name, shape, b)
	if errors.Is(err, errShape) {
		return &valueError{err: err}
	}
	if err != nil {
		return d.bad("%w", err)
	}
	return a.decode(to)
}

func (d *decoder) decodeTime(to reflect.Value) error {
	var n [8]int64
	for i := range n {
		var err error
		if n[i], err = d.small(); err != nil {
			return err
		}
	}
	location := Naive
	if len(d.rest) > 0 && d.rest[0] == 'N' {
		d.rest = d.rest[1:]
		if _, _, err := d.string(); err != nil {
			return err
		}
	} else {
		offset, err := d.small()
		if err != nil {
			return err
		}
		if offset <= -24*60*60 || offset >= 24*60*60 {
			return fail("a datetime has an offset of %d seconds, which is a day or more", offset)
		}
		name, _, err := d.string()
		if err != nil {
			return err
		}
		if location = time.FixedZone(name, int(offset)); offset == 0 && name == "UTC" {
			location = time.UTC
		}
	}
	t := time.Date(int(n[0]), time.Month(n[1]), int(n[2]), int(n[3]), int(n[4]), int(n[5]), int(n[6]*1000+n[7]), location)
	if n[0] < 1 || n[0] > 9999 || int(n[1]) != int(t.Month()) || int(n[2]) != t.Day() || int(n[3]) != t.Hour() || int(n[4]) != t.Minute() || int(n[5]) != t.Second() || n[6] < 0 || n[6] > 999_999 || n[7] < 0 || n[7] > 999 {
		return fail("a datetime is invalid: its year, month, day and so on are %v", n)
	}
	return setTime(to, t)
}

func (d *decoder) decodeDuration(to reflect.Value) error {
	var n [4]int64
	for i := range n {
		var err error
		if n[i], err = d.small(); err != nil {
			return err
		}
	}
	total := new(big.Int).SetInt64(n[0]*86400 + n[1])
	total.Mul(total, big.NewInt(1e9)).Add(total, big.NewInt(n[2]*1000+n[3]))
	if !total.IsInt64() {
		return mismatch(aTimedelta, fmt.Sprintf("a timedelta of %d days", n[0]), to)
	}
	return setDuration(to, time.Duration(total.Int64()))
}

func setTime(to reflect.Value, t time.Time) error {
	to, done := target(to, t)
	if done {
		return nil
	}
	switch infoOf(to.Type()).class {
	case timeClass:
		to.Set(reflect.ValueOf(t))
		return nil
	case textClass:
		return unmarshalText(to, t.AppendFormat(nil, time.RFC3339Nano))
	}
	return mismatch(aDatetime, "a datetime", to)
}

func setDuration(to reflect.Value, d time.Duration) error {
	to, done := target(to, d)
	if done {
		return nil
	}
	if infoOf(to.Type()).class != durationClass {
		return mismatch(aTimedelta, "a timedelta", to)
	}
	to.SetInt(int64(d))
	return nil
}
