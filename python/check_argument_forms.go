package python

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"concert/executor"
)

// form checks the rest of a form. The parameter items is the length of the
// form's tuple; the caller has already read this length. The method accepts
// only forms that the codec writes in arguments.
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
	case (form == formArray || form == formView) && items == 3:
		return c.array(form == formView)
	case (form == formNumpy || form == formNumpyView) && items == 3:
		return c.numpy()
	case (form == formRows || form == formRowsView) && items == 3:
		return c.rows(form == formRowsView)
	case form == formShared && items == 1 && !c.aligned:
		return c.reference()
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
			err = fmt.Errorf("%q is no valid text of the kind %q", shorten([]byte(text)), shorten([]byte(kind)))
		}
		return err
	}
	return fmt.Errorf("form %d with %d items does not exist in arguments", form, items)
}

// reference checks the ID of a shared value. An interpreter finds only values
// that the pool has sent to it.
func (c *checker) reference() error {
	kind, err := c.take(1)
	if err != nil {
		return err
	}
	n, err := c.int32()
	if err != nil {
		return err
	}
	if kind[0] != 's' || n != len(executor.SharedID{}) {
		return errors.New("a reference to a shared value has no ID")
	}
	if c.references++; c.references > maxReferences {
		return fmt.Errorf("it has more than %d references to shared values", maxReferences)
	}
	_, err = c.take(n)
	return err
}

// isPadding reports whether b can be the padding before or between aligned
// arrays.
func isPadding(b []byte) bool {
	return len(b) < alignment && bytes.Equal(b, padding[:len(b)])
}

// small reads an int of 32 bits in a form.
func (c *checker) small() (int, error) {
	kind, err := c.take(1)
	if err != nil {
		return 0, err
	}
	if kind[0] != 'i' {
		return 0, fmt.Errorf("an int of a form has the type %q", kind[0])
	}
	return c.int32()
}

func (c *checker) string() (string, error) {
	kind, err := c.take(1)
	if err != nil {
		return "", err
	}
	if kind[0] != 'u' {
		return "", fmt.Errorf("a str of a form has the type %q", kind[0])
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

// array checks the items of a form for an array.array. If binary is true,
// the typecode for bytes is permitted, too.
func (c *checker) array(binary bool) error {
	size, offset, err := c.place(binary)
	if err != nil {
		return err
	}
	n, err := c.small()
	if err != nil {
		return err
	}
	return c.data(offset, n, size)
}

// place reads the typecode and the offset of a form. It returns the size of the
// items, and the offset.
func (c *checker) place(binary bool) (size, offset int, err error) {
	typecode, err := c.string()
	if err != nil {
		return 0, 0, err
	}
	i := slices.IndexFunc(dtypes, func(d dtype) bool {
		return d.typecode == typecode && typecode != "" || binary && d.kind == reflect.Uint8 && typecode == bytesCode
	})
	if i < 0 {
		return 0, 0, fmt.Errorf("an array has the unknown typecode %q", shorten([]byte(typecode)))
	}
	offset, err = c.small()
	return dtypes[i].size, offset, err
}

// rows checks the items of a form for a list of array.array, or of views.
func (c *checker) rows(views bool) error {
	sizeOfRow := sizeRow
	if views {
		sizeOfRow = sizeRowView
	}
	size, offset, err := c.place(false)
	if err != nil {
		return err
	}
	if kind, err := c.take(1); err != nil || kind[0] != '[' {
		return fmt.Errorf("a form of rows has no list of counts")
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
		if err := c.need(sizeOfRow); err != nil {
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
		return fmt.Errorf("the rows begin at offset %d, but must begin at offset %d", offset, c.used)
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
		return fmt.Errorf("an array has the unknown dtype %q", shorten([]byte(name)))
	}
	if kind, err := c.take(1); err != nil || kind[0] != '(' {
		return fmt.Errorf("an array has no shape")
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
		return fmt.Errorf("an array has the invalid shape %v", shape)
	}
	offset, err := c.small()
	if err != nil {
		return err
	}
	return c.data(offset, n, dtypes[i].size)
}

// data checks the offset and the length of an array. The bytes of the array
// must follow the bytes of the previous array. In a shared value, there may
// be padding between the two arrays.
func (c *checker) data(offset, n, size int) error {
	if gap := -c.used & (alignment - 1); c.aligned && gap > 0 && offset == c.used+gap && gap <= c.arrays-c.used {
		c.used += gap
	}
	if left := c.arrays - c.used; offset != c.used || n < 0 || n > left/size {
		return fmt.Errorf("an array of %d items of %d bytes is at offset %d, but must be at offset %d, and have at most %d bytes", n, size, offset, c.used, left)
	}
	c.used += n * size
	return c.need(2 * n * size)
}
