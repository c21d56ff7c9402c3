package python

import (
	"fmt"
	"math/big"
	"reflect"
	"regexp"
	"strings"
	"time"
)

// Naive is the location of a time.Time that is a datetime.datetime without a
// zone, as a result and as an argument.
var Naive = time.FixedZone("naive", 0)

// Values of Python's standard library that Go has no type for are their text.
// As arguments they are checked, so that they come back as they were sent. Each
// also fits into a string, and into what has UnmarshalText.
type (
	// Date is a datetime.date, as 2006-01-02.
	Date string
	// TimeOfDay is a datetime.time, as 15:04:05, with six digits of a second
	// after a point unless they are zero, and the offset of its zone, as +01:00,
	// if it has one.
	TimeOfDay string
	// Decimal is a decimal.Decimal, as 1.20 or 1E+3.
	Decimal string
	// UUID is a uuid.UUID, in lower case.
	UUID string
	// Path is a pathlib.Path.
	Path string
)

// textForms are the types of text, and what they are called in forms.
var textForms = map[reflect.Type]string{
	reflect.TypeFor[Date]():      "date",
	reflect.TypeFor[TimeOfDay](): "time",
	reflect.TypeFor[Decimal]():   "Decimal",
	reflect.TypeFor[UUID]():      "UUID",
	reflect.TypeFor[Path]():      "Path",
}

// textTypes is the reverse of textForms.
var textTypes = func() map[string]reflect.Type {
	m := make(map[string]reflect.Type)
	for t, name := range textForms {
		m[name] = t
	}
	return m
}()

// textSyntax is what a text has to look like, to be what Python would write.
var textSyntax = map[string]*regexp.Regexp{
	"date":     regexp.MustCompile(`^\d{4}-\d\d-\d\d$`),
	"time":     regexp.MustCompile(`^([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{6})?([+-]([01]\d|2[0-3]):[0-5]\d(:[0-5]\d)?)?$`),
	"Decimal":  regexp.MustCompile(`^-?(\d+(\.\d+)?(E[+-]\d{1,17})?|Infinity|s?NaN\d*)$`),
	"UUID":     regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
	"Path":     regexp.MustCompile(`^[^\x00]+$`),
	"Fraction": regexp.MustCompile(`^-?\d+(/\d+)?$`),
}

// checkText reports whether text is one of a form.
func checkText(form, text string) bool {
	if syntax := textSyntax[form]; syntax == nil || !syntax.MatchString(text) {
		return false
	}
	switch form {
	case "date":
		t, err := time.Parse(time.DateOnly, text)
		return err == nil && t.Year() >= 1
	case "time":
		return !strings.Contains(text, ".000000")
	}
	return true
}

func (e *encoder) encodeTextForm(form, text string) error {
	if !checkText(form, text) {
		return fail("%q is no %s as Python writes it", text, form)
	}
	e.form(formText, 2)
	if err := e.text(form); err != nil {
		return err
	}
	return e.text(text)
}

func (e *encoder) encodeTime(t time.Time) error {
	if y := t.Year(); y < 1 || y > 9999 {
		return fail("the time %v is outside of the years 1 to 9999, which a datetime has", t)
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

// atForm reports whether a form follows, of whose tuple the first byte has been read.
func (d *decoder) atForm(kind byte) bool { return kind == '(' && len(d.rest) > 4 && d.rest[4] == '.' }

// decodeForm reads a form, after the first byte of its tuple.
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
	return d.bad("form %d with %d items", form, n)
}

// small reads an int of 32 bits, within a form.
func (d *decoder) small() (int64, error) {
	kind, err := d.byte()
	if err == nil && kind != 'i' {
		err = d.bad("type %q in a form", kind)
	}
	if err != nil {
		return 0, err
	}
	word, err := d.uint32()
	return int64(int32(word)), err
}

// string reads a str within a form, which may be None.
func (d *decoder) string() (string, bool, error) {
	kind, err := d.byte()
	if err != nil || kind == 'N' {
		return "", false, err
	}
	if kind != 'u' {
		return "", false, d.bad("type %q in a form", kind)
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
		return d.bad("type %q in an array", kind)
	}
	b, err := d.sized()
	if err != nil {
		return err
	}
	a, err := newBuffer(name, shape, b)
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
		name, _, err := d.string()
		if err != nil {
			return err
		}
		if location = time.FixedZone(name, int(offset)); offset == 0 && name == "UTC" {
			location = time.UTC
		}
	}
	return setTime(to, time.Date(int(n[0]), time.Month(n[1]), int(n[2]), int(n[3]), int(n[4]), int(n[5]), int(n[6]*1000+n[7]), location))
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
		return mismatch(fmt.Sprintf("a timedelta of %d days", n[0]), to)
	}
	return setDuration(to, time.Duration(total.Int64()))
}

func (d *decoder) decodeTextForm(to reflect.Value) error {
	form, _, err := d.string()
	if err != nil {
		return err
	}
	text, _, err := d.string()
	if err != nil {
		return err
	}
	t := textTypes[form]
	if t == nil && form != "Fraction" {
		return d.bad("a text of kind %q", form)
	}
	var natural any
	if t == nil {
		r, ok := new(big.Rat).SetString(text)
		if !ok {
			return d.bad("a Fraction of %q", shorten([]byte(text)))
		}
		natural = r
	} else {
		natural = reflect.ValueOf(text).Convert(t).Interface()
	}
	to, done := settled(to, natural)
	if done {
		return nil
	}
	switch {
	case to.Type() == t, to.Kind() == reflect.String && infoOf(to.Type()).class == byKind:
		to.SetString(text)
		return nil
	case form == "date" && to.Type() == timeType:
		day, err := time.ParseInLocation(time.DateOnly, text, Naive)
		if err != nil {
			return d.bad("a date of %q", text)
		}
		to.Set(reflect.ValueOf(day))
		return nil
	case infoOf(to.Type()).class == textClass:
		return unmarshalText(to, []byte(text))
	}
	return mismatch(fmt.Sprintf("the %s %q", form, shorten([]byte(text))), to)
}
