package python

import (
	"fmt"
	"math/big"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// These types hold values of Python's standard library as text, because Go
// has no types for them. In an argument, the text must have exactly the form
// in which Python writes the value. In a result, such values also fit into a
// string, and into a type with UnmarshalText.
type (
	// Date is a datetime.date, as 2006-01-02.
	Date string
	// TimeOfDay is a datetime.time, as 15:04:05. A fraction of a second has six
	// digits, as in 15:04:05.500000. The offset of a zone follows, as in
	// 15:04:05+01:00.
	TimeOfDay string
	// Decimal is a decimal.Decimal, as 1.20 or 1E+3.
	Decimal string
	// UUID is a uuid.UUID, in lower case.
	UUID string
	// Path is a pathlib.Path.
	Path string
)

// textForms has the name that each of these types has in forms.
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

// textSyntax has the syntax of the texts that Python writes. The function
// checkText checks further conditions.
var textSyntax = sync.OnceValue(func() map[string]*regexp.Regexp {
	return map[string]*regexp.Regexp{
		"date":     regexp.MustCompile(`^\d{4}-\d\d-\d\d$`),
		"time":     regexp.MustCompile(`^(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{6})?([+-](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d)?)?$`),
		"Decimal":  regexp.MustCompile(`^-?(?:(0|[1-9]\d*)(?:\.(\d+))?(?:E([+-](?:0|[1-9]\d{0,17})))?|Infinity|s?NaN(?:[1-9]\d*)?)$`),
		"UUID":     regexp.MustCompile(`^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$`),
		"Path":     regexp.MustCompile(`^[^\x00]+$`),
		"Fraction": regexp.MustCompile(`^(-?[0-9a-f]+)/(0*[1-9a-f][0-9a-f]*)$`), // the digits are hexadecimal
	}
})

// textExamples has an example of each form, for errors.
var textExamples = map[string]string{
	"date": "2026-01-02", "time": "15:04:05", "Decimal": "1.20", "UUID": "123e4567-e89b-12d3-a456-426614174000", "Path": "dir/file", "Fraction": "a/3",
}

// checkText reports whether Python could have written this text for a value
// of that form.
func checkText(form, text string) bool {
	syntax := textSyntax()[form]
	if syntax == nil {
		return false
	}
	m := syntax.FindStringSubmatch(text)
	if m == nil {
		return false
	}
	switch form {
	case "date":
		t, err := time.Parse(time.DateOnly, text)
		return err == nil && t.Year() >= 1
	case "time":
		micros, offset := m[1], m[2]
		return micros != ".000000" && offset != "-00:00" && (len(offset) < 9 || !strings.HasSuffix(offset, ":00"))
	case "Decimal":
		return m[1] == "" || checkDecimal(m[1], m[2], m[3])
	}
	return true
}

// checkDecimal reports whether a text is the form in which Python writes a
// finite Decimal. The parameters are parts of the text: the digits before the
// point, the digits after the point, and the exponent with its sign. They
// determine the coefficient and the exponent of the Decimal. Python writes an
// exponent only if the exponent of the Decimal is above 0, or if the text would
// have more than five zeros between the point and the first digit of the
// coefficient.
func checkDecimal(whole, fraction, exponent string) bool {
	zeros := len(fraction) - len(strings.TrimLeft(fraction, "0"))
	if exponent == "" {
		zero := zeros == len(fraction) // the coefficient is 0
		return whole != "0" || zeros <= 5 || zero && zeros <= 6
	}
	if len(whole) > 1 || whole == "0" && fraction != "" {
		return false
	}
	adjusted, err := strconv.ParseInt(exponent, 10, 64)
	return err == nil && (adjusted > int64(len(fraction)) || adjusted < -6)
}

func (e *encoder) encodeTextForm(form, text string) error {
	if !checkText(form, text) {
		return fail("%q is no %s as Python writes it, such as %q", text, form, textExamples[form])
	}
	e.form(formText, 2)
	if err := e.text(form); err != nil {
		return err
	}
	return e.text(text)
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
		return d.bad("unknown kind of text %q", form)
	}
	if !checkText(form, text) {
		return fail("the text %q is no %s as Python writes it, such as %q", shorten([]byte(text)), form, textExamples[form])
	}
	var natural any
	if t == nil {
		m := textSyntax()[form].FindStringSubmatch(text)
		if m == nil {
			return d.bad("%q is no Fraction", shorten([]byte(text)))
		}
		num, _ := new(big.Int).SetString(m[1], 16)
		denom, _ := new(big.Int).SetString(m[2], 16)
		r := new(big.Rat).SetFrac(num, denom)
		natural, text = r, r.String()
	} else {
		natural = reflect.ValueOf(text).Convert(t).Interface()
	}
	to, done := target(to, natural)
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
			return d.bad("%q is no date", text)
		}
		to.Set(reflect.ValueOf(day))
		return nil
	case infoOf(to.Type()).class == textClass:
		return unmarshalText(to, []byte(text))
	}
	return mismatch(aText, fmt.Sprintf("the %s %q", form, shorten([]byte(text))), to)
}
