package python

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"
)

// decodeJSON decodes a value into a variable whose type has UnmarshalJSON.
func (d *decoder) decodeJSON(kind byte, to reflect.Value) error {
	var v any
	defer func(before bool) { d.json = before }(d.json)
	d.json = true
	if err := d.decodeKind(kind, reflect.ValueOf(&v).Elem()); err != nil {
		return err
	}
	text, err := json.Marshal(v)
	if err == nil {
		err = to.Addr().Interface().(json.Unmarshaler).UnmarshalJSON(text)
	}
	if err != nil {
		return fail("a value does not fit into a Go %s: %w", to.Type(), err)
	}
	return nil
}

// encodeJSON calls MarshalJSON, and encodes the value of the returned JSON.
func (e *encoder) encodeJSON(v json.Marshaler) error {
	text, err := v.MarshalJSON()
	if err != nil {
		return &valueError{err: err}
	}
	plain, err := fromJSON(text)
	if err != nil {
		return &valueError{err: err}
	}
	return e.encode(reflect.ValueOf(plain))
}

// fromJSON reads JSON, and keeps integers exact. It refuses bytes that are
// not UTF-8, and escapes of lone surrogates: encoding/json would replace
// them by U+FFFD.
func fromJSON(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("its JSON is not UTF-8")
	}
	if lone := loneSurrogate(text); lone != "" {
		return nil, fmt.Errorf("its JSON has the lone surrogate %s", lone)
	}
	if !json.Valid(text) {
		return nil, errors.New("its JSON is not one value")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	return fromTokens(d)
}

// fromTokens reads a value. Unlike json.Decoder, it refuses two entries with
// the same key, and numbers that a float64 cannot hold exactly.
func fromTokens(d *json.Decoder) (any, error) {
	token, err := d.Token()
	if err != nil {
		return nil, err
	}
	switch token {
	case json.Delim('['):
		list := []any{}
		for d.More() {
			v, err := fromTokens(d)
			if err != nil {
				return nil, err
			}
			list = append(list, v)
		}
		_, err := d.Token()
		return list, err
	case json.Delim('{'):
		object := map[string]any{}
		for d.More() {
			key, err := d.Token()
			if err != nil {
				return nil, err
			}
			name := key.(string)
			if _, there := object[name]; there {
				return nil, fmt.Errorf("its JSON has two entries for the key %q", shorten([]byte(name)))
			}
			if object[name], err = fromTokens(d); err != nil {
				return nil, err
			}
		}
		_, err := d.Token()
		return object, err
	}
	if n, ok := token.(json.Number); ok {
		return number(n.String())
	}
	return token, nil
}

// jsonEscape matches an escape in JSON, or two escapes that are a surrogate
// pair.
var jsonEscape = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)`)
})

// loneSurrogate returns an escape in the JSON text that is only half of a
// surrogate pair, or "".
func loneSurrogate(text []byte) string {
	if !bytes.Contains(text, []byte(`\u`)) {
		return ""
	}
	for _, escape := range jsonEscape().FindAll(text, -1) {
		if len(escape) == 6 && (escape[2] == 'd' || escape[2] == 'D') && escape[3] >= '8' {
			return string(escape)
		}
	}
	return ""
}

// number returns the value of a JSON number: an integer, or a float64. It
// returns an error if the float64 would not have all digits of the text.
func number(text string) (any, error) {
	if n, ok := new(big.Int).SetString(text, 10); ok && text != "-0" {
		return n, nil
	}
	f, err := strconv.ParseFloat(text, 64)
	if err == nil && !hasDigits(f, text) {
		err = fmt.Errorf("its JSON has the number %s, which a float64 cannot hold with all digits: make it a string", shorten([]byte(text)))
	}
	return f, err
}

// hasDigits writes f with the number of digits that the text has. It reports
// whether the digits are the same.
func hasDigits(f float64, text string) bool {
	mantissa, _, _ := strings.Cut(strings.ToLower(strings.TrimPrefix(text, "-")), "e")
	digits := strings.Trim(strings.ReplaceAll(mantissa, ".", ""), "0")
	const most = 767 // a float64 has at most 767 digits
	if digits == "" || f == 0 || len(digits) > most {
		return digits == "" && f == 0
	}
	written, _, _ := strings.Cut(strconv.FormatFloat(math.Abs(f), 'e', len(digits)-1, 64), "e")
	return strings.ReplaceAll(written, ".", "") == digits
}
