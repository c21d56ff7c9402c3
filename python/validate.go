package python

import (
	"fmt"
	"slices"
	"unicode/utf8"

	"concert"
)

// An argument that another process has encoded is checked before an interpreter
// receives it: marshal.loads believes the counts that it reads, and allocates for
// them, and it makes code objects. What passes is what the codec writes, and the
// other containers of plain data: each count is no more than the bytes that
// are left, nothing is nested too deeply, and the interpreter needs no more
// memory for the value than maxExpansion times its bytes.

// maxExpansion is how many bytes of memory an interpreter may need for each byte
// of an argument. Dicts with one entry of two bytes take the most, 58.
const maxExpansion = 80

// freeExpansion is the memory that each argument may take, however short it is.
const freeExpansion = 64 << 10

// validate checks an argument that this process has not encoded. Other kinds
// than Foreign are numbers, bytes or text, which the worker decodes without
// believing anything.
func validate(arg concert.Encoded) error {
	if !arg.Foreign() {
		return nil
	}
	c := checker{rest: arg.Bytes, most: freeExpansion + maxExpansion*len(arg.Bytes)}
	if err := c.argument(); err != nil {
		return fmt.Errorf("python: an argument of %d bytes from another process was refused: %w", len(arg.Bytes), err)
	}
	return nil
}

// checker walks over an argument.
type checker struct {
	rest   []byte // of the marshal data
	depth  int
	memory int // what the interpreter allocates for the value, at most,
	most   int // and may

	forms  bool // it may have forms,
	arrays int  // with so many bytes of arrays,
	used   int  // of which forms that were read have used these
}

func (c *checker) argument() error {
	if len(c.rest) > 0 && c.rest[0] == extended {
		if len(c.rest) < extendedHead {
			return fmt.Errorf("it ends within its head")
		}
		n, body := le.Uint32(c.rest[1:]), c.rest[extendedHead:]
		if uint64(n) > uint64(len(body)) {
			return fmt.Errorf("marshal data of %d bytes in %d bytes", n, len(body))
		}
		c.forms, c.rest, c.arrays = true, body[:n], len(body)-int(n)
	}
	if err := c.value(); err != nil {
		return err
	}
	if len(c.rest) > 0 {
		return fmt.Errorf("%d bytes follow the value", len(c.rest))
	}
	if c.used != c.arrays {
		return fmt.Errorf("%d bytes of arrays, of which its forms have %d", c.arrays, c.used)
	}
	return nil
}

// need counts memory.
func (c *checker) need(bytes int) error {
	if c.memory += bytes; c.memory > c.most {
		return fmt.Errorf("the value would need more than %d bytes of memory", c.most)
	}
	return nil
}

func (c *checker) take(n int) ([]byte, error) {
	if n < 0 || n > len(c.rest) {
		return nil, fmt.Errorf("%d bytes wanted, %d there", n, len(c.rest))
	}
	b := c.rest[:n]
	c.rest = c.rest[n:]
	return b, nil
}

func (c *checker) int32() (int, error) {
	b, err := c.take(4)
	if err != nil {
		return 0, err
	}
	return int(int32(le.Uint32(b))), nil
}

// count reads a number of items that follow.
func (c *checker) count() (int, error) {
	n, err := c.int32()
	if err == nil && (n < 0 || n > len(c.rest)) {
		err = fmt.Errorf("%d items in %d bytes", n, len(c.rest))
	}
	return n, err
}

// The sizes of objects are those of CPython on 64 bits, from 3.8 on, with what its
// collector and its allocator add, and rounded up. An item of a list takes 8 bytes in
// the list. Sets and dicts have tables that grow, of which the old one
// exists beside the new one: so many bytes for each item, at most.
const (
	sizeNumber   = 48
	sizeBytes    = 64
	sizeText     = 96
	sizeList     = 96
	sizeSet      = 256
	sizeSetItem  = 200
	sizeDict     = 96
	sizeDictKeys = 208 // with five entries
	sizeDictItem = 200 // from the sixth on
	sizeForm     = 1024
	sizeRow      = 160
)

// value checks the value that follows.
func (c *checker) value() error {
	kind, err := c.take(1)
	if err != nil {
		return err
	}
	return c.kind(kind[0])
}

func (c *checker) kind(kind byte) error {
	switch kind {
	case 'N', 'T', 'F':
		return nil
	case 'i':
		if _, err := c.take(4); err != nil {
			return err
		}
		return c.need(sizeNumber)
	case 'l':
		return c.long()
	case 'g':
		if _, err := c.take(8); err != nil {
			return err
		}
		return c.need(sizeNumber)
	case 'y':
		if _, err := c.take(16); err != nil {
			return err
		}
		return c.need(sizeNumber)
	case 's':
		n, err := c.count()
		if err != nil {
			return err
		}
		c.rest = c.rest[n:]
		return c.need(sizeBytes + n)
	case 'u':
		_, err := c.text()
		return err
	case '(', '[', '<', '>', '{':
		if c.depth++; c.depth > deepest {
			return fmt.Errorf("it is nested deeper than %d", deepest)
		}
		err := c.container(kind)
		c.depth--
		return err
	}
	return fmt.Errorf("type %q is not among those that may be sent", kind)
}

// long checks an int of more than 32 bits.
func (c *checker) long() error {
	n, err := c.int32()
	if err != nil {
		return err
	}
	digits, err := c.take(2 * max(n, -n))
	if err != nil {
		return err
	}
	for i := 0; i < len(digits); i += 2 {
		if le.Uint16(digits[i:]) > 0x7fff {
			return fmt.Errorf("a digit of %d in an int", le.Uint16(digits[i:]))
		}
	}
	if len(digits) > 0 && le.Uint16(digits[len(digits)-2:]) == 0 {
		return fmt.Errorf("an int whose first digit is zero")
	}
	return c.need(sizeNumber + len(digits))
}

func (c *checker) text() (string, error) {
	n, err := c.count()
	if err != nil {
		return "", err
	}
	b, _ := c.take(n)
	text, ok := unescape(b)
	if !ok {
		return "", fmt.Errorf("a str that is neither UTF-8 nor escaped, %s", quotePython(b))
	}
	wide := 1
	if slices.ContainsFunc(b, func(x byte) bool { return x >= utf8.RuneSelf }) {
		wide = 6 // four for each character, and it grows
	}
	return text, c.need(sizeText + wide*n)
}

func (c *checker) container(kind byte) error {
	if kind == '{' {
		return c.dict()
	}
	n, err := c.count()
	if err != nil {
		return err
	}
	if kind == '(' && n > 0 && c.rest[0] == '.' {
		if !c.forms {
			return fmt.Errorf("a form without a head")
		}
		return c.form(n)
	}
	size := sizeList + 8*n
	if kind == '<' || kind == '>' {
		size = sizeSet + sizeSetItem*n
	}
	if err := c.need(size); err != nil {
		return err
	}
	for range n {
		if err := c.value(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) dict() error {
	if err := c.need(sizeDict); err != nil {
		return err
	}
	for n := 0; ; n++ {
		kind, err := c.take(1)
		if err != nil {
			return err
		}
		size := 0
		switch {
		case kind[0] == '0':
			return nil
		case n == 0:
			size = sizeDictKeys
		case n > 4:
			size = sizeDictItem
		}
		if err := c.need(size); err != nil {
			return err
		}
		if err := c.kind(kind[0]); err != nil {
			return err
		}
		if err := c.value(); err != nil {
			return err
		}
	}
}

// form checks a form that the codec writes in arguments, after the count of its tuple.
func (c *checker) form(items int) error {
	c.rest = c.rest[1:] // the Ellipsis
	form, err := c.small()
	if err != nil {
		return err
	}
	if err := c.need(sizeForm); err != nil {
		return err
	}
	switch items -= 2; {
	case form == formArray && items == 3:
		return c.array()
	case form == formNumpy && items == 3:
		return c.numpy()
	case form == formRows && items == 3:
		return c.rows()
	case form == formTime && items == 10:
		return c.time()
	case form == formDuration && items == 4:
		return c.ints(4)
	case form == formText && items == 2:
		kind, err := c.string()
		if err != nil {
			return err
		}
		text, err := c.string()
		if err == nil && !checkText(kind, text) {
			err = fmt.Errorf("%q is no %q", shorten([]byte(text)), shorten([]byte(kind)))
		}
		return err
	}
	return fmt.Errorf("form %d with %d items", form, items)
}

// small reads an int of 32 bits, string a str, and ints so many ints, of a form.
func (c *checker) small() (int, error) {
	kind, err := c.take(1)
	if err != nil {
		return 0, err
	}
	if kind[0] != 'i' {
		return 0, fmt.Errorf("type %q for an int of a form", kind[0])
	}
	return c.int32()
}

func (c *checker) string() (string, error) {
	kind, err := c.take(1)
	if err != nil {
		return "", err
	}
	if kind[0] != 'u' {
		return "", fmt.Errorf("type %q for a str of a form", kind[0])
	}
	return c.text()
}

func (c *checker) ints(n int) error {
	for range n {
		if _, err := c.small(); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) time() error {
	if err := c.ints(8); err != nil {
		return err
	}
	if len(c.rest) > 1 && c.rest[0] == 'N' && c.rest[1] == 'N' {
		c.rest = c.rest[2:]
		return nil
	}
	if _, err := c.small(); err != nil {
		return err
	}
	_, err := c.string()
	return err
}

// array checks a form of array.array, whose bytes have to be the next ones.
func (c *checker) array() error {
	size, offset, err := c.place()
	if err != nil {
		return err
	}
	n, err := c.small()
	if err != nil {
		return err
	}
	return c.data(offset, n, size)
}

// place reads the typecode of a form, and returns the size of its items and where they are.
func (c *checker) place() (size, offset int, err error) {
	typecode, err := c.string()
	if err != nil {
		return 0, 0, err
	}
	i := slices.IndexFunc(dtypes, func(d dtype) bool { return d.typecode == typecode && typecode != "" })
	if i < 0 {
		return 0, 0, fmt.Errorf("an array of typecode %q", shorten([]byte(typecode)))
	}
	offset, err = c.small()
	return dtypes[i].size, offset, err
}

// rows checks a form of a list of array.array.
func (c *checker) rows() error {
	size, offset, err := c.place()
	if err != nil {
		return err
	}
	if kind, err := c.take(1); err != nil || kind[0] != '[' {
		return fmt.Errorf("rows without counts")
	}
	rows, err := c.count()
	if err != nil {
		return err
	}
	for range rows {
		n, err := c.small()
		if err != nil {
			return err
		}
		if err := c.need(sizeRow); err != nil {
			return err
		}
		if n == -1 {
			continue
		}
		if err := c.data(offset, n, size); err != nil {
			return err
		}
		offset = c.used
	}
	if offset != c.used {
		return fmt.Errorf("rows at %d, which begin at %d", offset, c.used)
	}
	return nil
}

func (c *checker) numpy() error {
	name, err := c.string()
	if err != nil {
		return err
	}
	i := slices.IndexFunc(dtypes, func(d dtype) bool { return d.name == name })
	if i < 0 {
		return fmt.Errorf("an array of dtype %q", shorten([]byte(name)))
	}
	if kind, err := c.take(1); err != nil || kind[0] != '(' {
		return fmt.Errorf("an array without a shape")
	}
	dims, err := c.count()
	if err != nil {
		return err
	}
	var shape []int
	for range dims {
		dim, err := c.small()
		if err != nil {
			return err
		}
		shape = append(shape, dim)
	}
	n, ok := elements(shape)
	if !ok {
		return fmt.Errorf("an array of shape %v", shape)
	}
	offset, err := c.small()
	if err != nil {
		return err
	}
	return c.data(offset, n, dtypes[i].size)
}

// data checks where the bytes of an array are.
func (c *checker) data(offset, n, size int) error {
	if left := c.arrays - c.used; offset != c.used || n < 0 || n > left/size {
		return fmt.Errorf("an array of %d items of %d bytes at %d, where %d bytes are left at %d", n, size, offset, left, c.used)
	}
	c.used += n * size
	return c.need(2 * n * size)
}
