package python

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"reflect"
	"regexp"
	"unicode/utf8"
)

// decodeJSON gives a value to one that has UnmarshalJSON.
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

// encodeJSON encodes what MarshalJSON returns.
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

// fromJSON reads JSON, with integers as such. It refuses text that encoding/json
// would replace by U+FFFD: what is not UTF-8, and escapes of lone surrogates.
func fromJSON(text []byte) (any, error) {
	if !utf8.Valid(text) {
		return nil, errors.New("its JSON is not UTF-8")
	}
	if lone := loneSurrogate(text); lone != "" {
		return nil, fmt.Errorf("its JSON has the lone surrogate %s", lone)
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil {
		return nil, err
	}
	if d.More() {
		return nil, errors.New("its JSON has more than one value")
	}
	return numbers(v)
}

// jsonEscape is an escape in JSON: two that are one character, or another one.
var jsonEscape = regexp.MustCompile(`\\(u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|.)`)

// loneSurrogate returns an escape in JSON that is half of a character, or "".
func loneSurrogate(text []byte) string {
	if !bytes.Contains(text, []byte(`\u`)) {
		return ""
	}
	for _, escape := range jsonEscape.FindAll(text, -1) {
		if len(escape) == 6 && (escape[2] == 'd' || escape[2] == 'D') && escape[3] >= '8' {
			return string(escape)
		}
	}
	return ""
}

// numbers turns each json.Number into a number.
func numbers(v any) (any, error) {
	var err error
	switch v := v.(type) {
	case json.Number:
		if n, ok := new(big.Int).SetString(v.String(), 10); ok {
			return n, nil
		}
		f, err := v.Float64()
		return f, err
	case []any:
		for i := range v {
			if v[i], err = numbers(v[i]); err != nil {
				return nil, err
			}
		}
	case map[string]any:
		for k := range v {
			if v[k], err = numbers(v[k]); err != nil {
				return nil, err
			}
		}
	}
	return v, nil
}
