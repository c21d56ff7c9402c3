package python

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"

	"concert/executor"
)

// If another process has encoded an argument, the pool checks the argument
// before it sends the argument to an interpreter. The check is needed because
// marshal.loads allocates memory for any count that it reads, and also creates
// code objects. The check accepts the values that the codec writes, and other
// containers of plain data. The check ensures that:
//
//   - no count is more than the number of remaining bytes;
//   - no value is nested too deeply;
//   - the interpreter needs at most freeExpansion bytes of memory, and in
//     addition maxExpansion bytes for each byte of the argument;
//   - the argument has at most maxReferences references to shared values.
//     Each reference may need as much memory as the value itself. The pool
//     checks that value before it stores it.

// maxExpansion is the maximum number of bytes of memory that an interpreter may
// need for each byte of an argument. Among the values that the codec writes,
// dicts with one entry of two bytes need the most memory: 58 bytes for each
// byte.
const maxExpansion = 80

// freeExpansion is the number of bytes of memory that an interpreter may need
// for any argument, in addition to maxExpansion bytes for each byte.
const freeExpansion = 64 << 10

// maxReferences is the maximum number of references to shared values in an
// argument from another process.
const maxReferences = 256

// validateShared checks a shared value that this process has not encoded. It
// makes the same checks as validate.
func validateShared(value executor.Encoded) error {
	if !value.Foreign() {
		return nil
	}
	c := checker{rest: value.Bytes, most: freeExpansion + maxExpansion*len(value.Bytes), aligned: true}
	if err := c.argument(); err != nil {
		return fmt.Errorf("python: a shared value of %d bytes from another process was refused: %w", len(value.Bytes), err)
	}
	return nil
}

// validate checks an argument that this process has not encoded. Only Foreign
// arguments are marshal data. Other arguments need no check, because the worker
// decodes only numbers, bytes and text from them.
func validate(arg executor.Encoded) error {
	if !arg.Foreign() {
		return nil
	}
	c := checker{rest: arg.Bytes, most: freeExpansion + maxExpansion*len(arg.Bytes)}
	if err := c.argument(); err != nil {
		return fmt.Errorf("python: an argument of %d bytes from another process was refused: %w", len(arg.Bytes), err)
	}
	return nil
}

// checker reads an argument.
type checker struct {
	rest   []byte // the marshal data that is not read yet
	depth  int
	memory int // upper bound of the memory for the values already read
	most   int // maximum of memory

	forms  bool // the argument begins with a head, so it may contain forms
	arrays int  // number of bytes after the marshal data, which belong to arrays
	used   int  // number of these bytes that belong to forms already read

	aligned    bool // the value is a shared value: its arrays are aligned, and it has no references
	references int  // number of references that were read
}

func (c *checker) argument() error {
	if len(c.rest) > 0 && c.rest[0] == extended {
		if len(c.rest) < extendedHead {
			return fmt.Errorf("it is shorter than its head, which has %d bytes", extendedHead)
		}
		n, body := le.Uint32(c.rest[1:]), c.rest[extendedHead:]
		if uint64(n) > uint64(len(body)) {
			return fmt.Errorf("its head states %d bytes of marshal data, but only %d bytes follow", n, len(body))
		}
		c.forms, c.rest, c.arrays = true, body[:n], len(body)-int(n)
	}
	if err := c.value(); err != nil {
		return err
	}
	if len(c.rest) > 0 && !(c.aligned && c.forms && isPadding(c.rest)) {
		return fmt.Errorf("%d bytes follow the value", len(c.rest))
	}
	if left := c.arrays - c.used; left != 0 && !(c.aligned && left < alignment) {
		return fmt.Errorf("it has %d bytes of arrays, but its forms use %d of them", c.arrays, c.used)
	}
	return nil
}

// need adds bytes to c.memory, and returns an error if the sum is above the
// limit.
func (c *checker) need(bytes int) error {
	if c.memory += bytes; c.memory > c.most {
		return fmt.Errorf("the value would need more than %d bytes of memory", c.most)
	}
	return nil
}

func (c *checker) take(n int) ([]byte, error) {
	if n < 0 || n > len(c.rest) {
		return nil, fmt.Errorf("%d bytes are needed, but only %d remain", n, len(c.rest))
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

// count reads the number of the items that follow.
func (c *checker) count() (int, error) {
	n, err := c.int32()
	if err == nil && (n < 0 || n > len(c.rest)) {
		err = fmt.Errorf("%d items do not fit into the remaining %d bytes", n, len(c.rest))
	}
	return n, err
}

// Sizes of objects in CPython 3.8 and later on 64 bits, rounded up, with the
// overhead of the garbage collector and the allocator. A list needs 8 more
// bytes for each item. Sets and dicts have tables. When a table grows, the
// old and the new table exist at the same time. So the sizes of the items
// below include both tables.
const (
	sizeNumber   = 48
	sizeBytes    = 64
	sizeText     = 96
	sizeList     = 96
	sizeSet      = 256
	sizeSetItem  = 200
	sizeDict     = 96
	sizeDictKeys = 208 // for one to five entries
	sizeDictItem = 200 // from the sixth entry on
	sizeForm     = 1024
	sizeRow      = 160
	sizeRowView  = 288
)

// value checks the next value.
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
	return fmt.Errorf("type %q is not among the types that can be sent", kind)
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
			return fmt.Errorf("an int has a digit of %d, which has more than 15 bits", le.Uint16(digits[i:]))
		}
	}
	if len(digits) > 0 && le.Uint16(digits[len(digits)-2:]) == 0 {
		return fmt.Errorf("the most significant digit of an int is zero")
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
		return "", fmt.Errorf("a str is neither UTF-8 nor escaped by surrogateescape: %s", quotePython(b))
	}
	wide := 1
	if slices.ContainsFunc(b, func(x byte) bool { return x >= utf8.RuneSelf }) {
		wide = 6 // a character needs up to four bytes, and more while CPython enlarges the text
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
			return fmt.Errorf("it contains a tuple that begins with Ellipsis (a form), which needs a head with the length of the marshal data")
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
		case kind[0] == '.' && c.forms:
			return c.counted(n)
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

// counted checks the end of a dict whose encoding contains the number of
// entries. The parameter n is the number of entries that the checker has
// read.
func (c *checker) counted(n int) error {
	count, err := c.small()
	if err != nil {
		return err
	}
	if count != n {
		return fmt.Errorf("a dict has %d entries, but states that it has %d", n, count)
	}
	if end, err := c.take(1); err != nil || end[0] != '0' {
		return errors.New("a dict does not end after the number of its entries")
	}
	return c.need(sizeDictKeys + sizeDictItem)
}
