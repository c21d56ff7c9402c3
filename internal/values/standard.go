package values

import (
	"errors"
	"reflect"
	"strconv"
)

// standardType describes a type of the standard library that has methods for
// encoding and decoding. If a type of the standard library is not in
// standardMethods, for example because it is new in a later version of Go,
// such methods of the type count as user code.
type standardType struct {
	// quick says that the methods take time and memory in proportion to the
	// length of the encoding, and do not panic. Only such methods run on the
	// goroutine that receives from a worker.
	quick bool
	// memory returns a bound of the memory that the method for decoding
	// allocates. If memory is nil, the bound is the length of the encoding.
	memory func(encoded []byte) int
	// inexact returns an error if the methods do not preserve the value.
	inexact func(reflect.Value) error
}

// standardMethods has the names of the types as keys, so that this package does
// not import packages of types that the program does not use.
var standardMethods = map[string]*standardType{
	"math/big.Int":         {quick: true},
	"math/big.Rat":         {quick: true},
	"math/big.Float":       {quick: true},
	"math/rand/v2.PCG":     {quick: true},
	"math/rand/v2.ChaCha8": {quick: true},
	"net/netip.Addr":       {quick: true},
	"net/netip.AddrPort":   {quick: true},
	"net/netip.Prefix":     {quick: true},
	"log/slog.LevelVar":    {quick: true},
	"crypto/x509.OID":      {quick: true, inexact: refuseZero},
	"regexp.Regexp":        {memory: regexpMemory, inexact: inexactRegexp},
}

// noStandardType describes every type that is not in standardMethods.
var noStandardType = new(standardType)

func standardTypeOf(t reflect.Type) *standardType {
	if s := standardMethods[t.PkgPath()+"."+t.Name()]; s != nil {
		return s
	}
	return noStandardType
}

func refuseZero(v reflect.Value) error {
	if v.IsZero() {
		return errors.New("the zero value has no encoding")
	}
	return nil
}

// inexactRegexp returns an error if regexp.Compile makes a regular
// expression from the text of v that differs from v.
func inexactRegexp(v reflect.Value) error {
	if v.IsZero() {
		return errors.New("the regular expression has not been compiled")
	}
	if longest := v.FieldByName("longest"); !longest.IsValid() || longest.Kind() != reflect.Bool || longest.Bool() {
		return errors.New("a copy of a regular expression made by CompilePOSIX or Longest would not prefer the longest match: send the text of the expression, and compile it in the task")
	}
	return nil
}

// Bounds of the memory of a compiled regular expression, in bytes. Package
// regexp/syntax permits a thousand repetitions of a part. All copies of a
// class such as \pL share one table of up to 700 ranges. But if the
// expression begins with ^, each copy may have several tables.
const (
	regexpBase    = 4 << 10
	regexpByte    = 1 << 10  // bytes for each byte of the text
	regexpClass   = 20 << 10 // bytes for each \p and \P
	regexpCopy    = 64       // bytes for each byte of the text, in each repetition
	maxRegexpReps = 1000
)

// regexpMemory returns a bound of the memory that compiling a regular
// expression needs. It multiplies the counts of all repetitions, as if the
// repetitions were nested. It also counts braces that are escaped or in a
// character class, although they are not repetitions.
func regexpMemory(expr []byte) int {
	once, reps := regexpBase+regexpByte*len(expr), 1
	begins := false
	for i, c := range expr {
		switch {
		case c == '^':
			begins = true
		case c == '{':
			reps = min(reps*repetitions(expr[i+1:]), maxRegexpReps)
		case c == '\\' && i+1 < len(expr):
			switch expr[i+1] {
			case 'p', 'P':
				once += regexpClass
			case 'A':
				begins = true
			}
		}
	}
	if begins {
		return once * reps
	}
	return once + reps*regexpCopy*len(expr)
}

// repetitions returns the number of copies that a repetition can need, plus
// one. s is the text after an opening brace: for "5,20}", the result is 21.
// If s is not a repetition, the result is 1.
func repetitions(s []byte) int {
	most := 1
	for i := 0; i < len(s); {
		end := i
		for end < len(s) && '0' <= s[end] && s[end] <= '9' {
			end++
		}
		if n, err := strconv.Atoi(string(s[i:min(end, i+5)])); err == nil {
			most = max(most, min(n, maxRegexpReps)+1)
		}
		if end == len(s) || s[end] != ',' {
			break
		}
		i = end + 1
	}
	return most
}
