// Package pyvalue decodes the inputs of commands as values for Python.
package pyvalue

import (
	"encoding/json"
	"math/big"
	"strings"
)

// Parse returns an input as a value for Python: the decoded value if the
// text is JSON, and the text otherwise.
func Parse(text string) any {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var v any
	if err := d.Decode(&v); err != nil || d.More() {
		return text
	}
	return exact(v)
}

// exact converts each number in a JSON value to an integer, which may have any
// size, or to a float.
func exact(v any) any {
	switch v := v.(type) {
	case json.Number:
		if i, ok := new(big.Int).SetString(v.String(), 10); ok {
			if i.IsInt64() {
				return i.Int64()
			}
			return i
		}
		f, err := v.Float64()
		if err != nil {
			return v.String()
		}
		return f
	case []any:
		for i := range v {
			v[i] = exact(v[i])
		}
	case map[string]any:
		for k := range v {
			v[k] = exact(v[k])
		}
	}
	return v
}
