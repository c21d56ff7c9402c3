package values

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// Register gives a type a name, so that interfaces may hold values of the
// type. It returns an error if the name is empty, reserved, or the name of
// another type, or if [Codec.Check] refuses the type. A name must not
// contain the characters []*, because they have a meaning in expressions
// such as []int.
func (c *Codec) Register(name string, t reflect.Type) error {
	if name == "" || strings.ContainsAny(name, "[]*") || name == timeName || name == remoteError || name == namedError {
		return fmt.Errorf("the type name %q is empty, reserved, or contains one of []*", name)
	}
	if err := c.Check(t); err != nil {
		return err
	}
	c.learn(t)
	c.mu.Lock()
	defer c.mu.Unlock()
	if other := c.byName[name]; other != nil && other != t {
		return fmt.Errorf("the type name %q is already the name of %s", name, typeText(other))
	}
	c.byName[name], c.names[t] = t, name
	return nil
}

// Learn registers t and the types within it under their own names, if they have
// one.
func (c *Codec) Learn(t reflect.Type) { c.learn(t) }

func (c *Codec) learn(t reflect.Type) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.learnLocked(t)
}

func (c *Codec) learnLocked(t reflect.Type) {
	if c.seen[t] {
		return
	}
	c.seen[t] = true
	if m := methodsOf(t); m != nil && !m.quick {
		c.named.Store(true)
	}
	if name := ownName(t); name != "" {
		switch other := c.byName[name]; {
		case other != nil && other != t: // types that are declared in different functions can have the same name
			c.clashes[name] = true
		default:
			c.byName[name] = t
			if c.names[t] == "" {
				c.names[t] = name
			}
		}
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Array:
		c.learnLocked(t.Elem())
	case reflect.Map:
		c.learnLocked(t.Key())
		c.learnLocked(t.Elem())
	case reflect.Struct:
		if methodsOf(t) != nil || isSpecial(t) {
			return
		}
		if fs, err := fieldsOf(t); err == nil {
			for _, f := range fs.encoded {
				c.learnLocked(t.Field(f.index).Type)
			}
		}
	}
}

// ownName returns the name of a type, or "" for a composed type such as []int.
func ownName(t reflect.Type) string {
	switch {
	case t == anyType:
		return "any"
	case t.Name() != "" && t.PkgPath() == "":
		return t.Name()
	case t.Name() != "":
		return t.PkgPath() + "." + t.Name()
	case t.Kind() == reflect.Struct || t.Kind() == reflect.Interface:
		return t.String() // the text is unique, unless two packages have the same name
	}
	return ""
}

// nameOf returns the name of a type, or an expression such as []int for a
// composed type.
func (c *Codec) nameOf(t reflect.Type) (string, error) {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.nameLocked(t)
}

func (c *Codec) nameLocked(t reflect.Type) (string, error) {
	if name := c.names[t]; name != "" {
		if c.clashes[name] {
			return "", fmt.Errorf("several types are named %s: declare them at package level, or register them under other names with concert.RegisterType", name)
		}
		return name, nil
	}
	if ownName(t) == "" {
		switch t.Kind() {
		case reflect.Pointer:
			elem, err := c.nameLocked(t.Elem())
			return "*" + elem, err
		case reflect.Slice:
			elem, err := c.nameLocked(t.Elem())
			return "[]" + elem, err
		case reflect.Array:
			elem, err := c.nameLocked(t.Elem())
			return "[" + strconv.Itoa(t.Len()) + "]" + elem, err
		case reflect.Map:
			key, err := c.nameLocked(t.Key())
			if err != nil {
				return "", err
			}
			elem, err := c.nameLocked(t.Elem())
			return "map[" + key + "]" + elem, err
		}
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.UnsafePointer:
		return "", unsupported(t)
	}
	return "", fmt.Errorf("the type %s is in an interface and has no name: "+
		"call concert.RegisterType[%s](\"a name\") at package level", typeText(t), typeText(t))
}

// Bounds of composed types. The bytes of a value can name any composed type,
// and package reflect never frees a type. So without bounds, such bytes
// could use up the memory.
const (
	maxComposed   = 4096
	maxExpression = 1024    // the maximum length of an expression in bytes
	maxArray      = 1 << 20 // the maximum number of elements of an array type
)

// typeOf is the reverse of nameOf: it returns the type with this name.
func (c *Codec) typeOf(name string) (reflect.Type, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	t, err := c.typeLocked(name)
	if err != nil && len(name) > 100 {
		name = name[:100] + "..."
	}
	if err != nil {
		err = fmt.Errorf("type %q: %w", name, err)
	}
	return t, err
}

func (c *Codec) typeLocked(name string) (t reflect.Type, err error) {
	if t := c.byName[name]; t != nil && !c.clashes[name] {
		return t, nil
	}
	if t := c.composed[name]; t != nil {
		return t, nil
	}
	if len(name) > maxExpression {
		return nil, fmt.Errorf("the name has %d bytes, at most %d are allowed", len(name), maxExpression)
	}
	switch {
	case strings.HasPrefix(name, "*"):
		if t, err = c.typeLocked(name[1:]); err == nil {
			t = reflect.PointerTo(t)
		}
	case strings.HasPrefix(name, "[]"):
		if t, err = c.typeLocked(name[2:]); err == nil {
			t = reflect.SliceOf(t)
		}
	case strings.HasPrefix(name, "["):
		t, err = c.arrayLocked(name)
	case strings.HasPrefix(name, "map["):
		t, err = c.mapLocked(name)
	default:
		return nil, fmt.Errorf("this program does not know the name: call concert.RegisterType in this program and in the one that encodes the value")
	}
	if err != nil {
		return nil, err
	}
	if len(c.composed) >= maxComposed {
		return nil, fmt.Errorf("too many composed types, at most %d are allowed", maxComposed)
	}
	c.composed[name] = t
	return t, nil
}

func (c *Codec) arrayLocked(name string) (reflect.Type, error) {
	length, elem, found := strings.Cut(name[1:], "]")
	n, err := strconv.Atoi(length)
	if !found || err != nil || n < 0 || n > maxArray {
		return nil, fmt.Errorf("invalid array length %q, at most %d is allowed", length, maxArray)
	}
	t, err := c.typeLocked(elem)
	if err != nil {
		return nil, err
	}
	if size := int(t.Size()); size > 0 && n > maxArray/size {
		return nil, fmt.Errorf("the array is too large: %d elements of %d bytes", n, size)
	}
	return reflect.ArrayOf(n, t), nil
}

func (c *Codec) mapLocked(name string) (reflect.Type, error) {
	depth, end := 0, -1
	for i := len("map"); i < len(name) && end < 0; i++ {
		switch name[i] {
		case '[':
			depth++
		case ']':
			if depth--; depth == 0 {
				end = i
			}
		}
	}
	if end < 0 {
		return nil, fmt.Errorf("a bracket is missing")
	}
	key, err := c.typeLocked(name[len("map["):end])
	if err != nil {
		return nil, err
	}
	elem, err := c.typeLocked(name[end+1:])
	if err != nil {
		return nil, err
	}
	if !key.Comparable() {
		return nil, fmt.Errorf("%s cannot be the key of a map", typeText(key))
	}
	return reflect.MapOf(key, elem), nil
}
