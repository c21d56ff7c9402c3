package values

import (
	"fmt"
	"math"
	"reflect"
	"sync"
	"time"
)

// A time is encoded as tag 27 with an array: this name, the seconds since 1970
// and the nanoseconds. If the time is not in UTC, the array also has the name
// of its location, the abbreviation of the zone, and the offset from UTC in
// seconds.
const timeName = "time.Time"

func encodeTime(e *encoder, v reflect.Value) error {
	t := *(*time.Time)(v.Addr().UnsafePointer())
	e.head(majorTag, tagObject)
	if t.Location() == time.UTC {
		e.head(majorArray, 3)
	} else {
		e.head(majorArray, 6)
	}
	e.text(timeName)
	e.int(t.Unix())
	e.int(int64(t.Nanosecond()))
	if t.Location() == time.UTC {
		return nil
	}
	abbreviation, offset := t.Zone()
	for _, name := range []string{t.Location().String(), abbreviation} {
		e.text(name)
		if err := e.memory.str(len(name)); err != nil {
			return err
		}
	}
	e.int(int64(offset))
	return e.memory.zone()
}

func decodeTime(d *decoder, v reflect.Value) error {
	tag, err := d.expect(majorTag, "a time")
	if err != nil {
		return err
	}
	var t time.Time
	switch tag {
	case tagTimeText:
		s, err := d.name("a time as text")
		if err != nil {
			return err
		}
		if t, err = time.Parse(time.RFC3339Nano, s); err != nil {
			return fmt.Errorf("a time: %w", err)
		}
		if _, offset := t.Zone(); offset == 0 {
			t = t.UTC()
		}
	case tagTime:
		var f float64
		if err := decodeFloat(d, reflect.ValueOf(&f).Elem()); err != nil {
			return err
		}
		whole := math.Floor(f)
		if !(math.Abs(whole) < 1<<60) {
			return fmt.Errorf("the time is out of range: %v seconds", f)
		}
		t = time.Unix(int64(whole), int64((f-whole)*1e9)).UTC()
	case tagObject:
		n, err := d.length(majorArray, "the parts of a time")
		if err != nil {
			return err
		}
		name, err := d.name("the name of a type")
		if err != nil {
			return err
		}
		if name != timeName {
			return fmt.Errorf("a time expected, not %q", name)
		}
		if t, err = d.timeParts(n - 1); err != nil {
			return err
		}
	default:
		return fmt.Errorf("a time expected, not tag %d", tag)
	}
	*(*time.Time)(v.Addr().UnsafePointer()) = t
	return nil
}

// timeParts reads the n items that follow the name.
func (d *decoder) timeParts(n int) (t time.Time, err error) {
	var seconds, nanoseconds, offset int64
	var location, abbreviation string
	for i, part := range []any{&seconds, &nanoseconds, &location, &abbreviation, &offset} {
		if i == 2 && n == 2 {
			break
		}
		p := reflect.ValueOf(part).Elem()
		if p.Kind() == reflect.String {
			err = decodeString(d, p)
		} else {
			err = decodeInt(d, p)
		}
		if err != nil {
			return t, err
		}
	}
	if n != 2 && n != 5 || nanoseconds < 0 || nanoseconds >= 1e9 || offset < -1<<30 || offset > 1<<30 {
		return t, fmt.Errorf("invalid time: %d parts, %d nanoseconds, an offset of %d seconds", n, nanoseconds, offset)
	}
	t = time.Unix(seconds, nanoseconds).UTC()
	if n == 2 {
		return t, nil
	}
	if err := d.memory.zone(); err != nil {
		return t, err
	}
	if !located(location) {
		if err := d.meter.spend(partsOfLocation); err != nil {
			return t, err
		}
	}
	return t.In(locationAt(t, location, abbreviation, int(offset))), nil
}

// locationAt returns the location with the name, if this location has the
// abbreviation and the offset at time t. Otherwise, it returns a fixed zone.
func locationAt(t time.Time, name, abbreviation string, offset int) *time.Location {
	if loc := location(name); loc != nil {
		if a, o := t.In(loc).Zone(); a == abbreviation && o == offset {
			return loc
		}
	}
	// A fixed zone has only one name. Use the name of the location, which
	// says more than the abbreviation.
	if name != "Local" && name != "" && name != abbreviation {
		return time.FixedZone(name, offset)
	}
	return time.FixedZone(abbreviation, offset)
}

// locations caches the results of time.LoadLocation, which reads a file at each
// call. If no location has a name, the cache has nil for the name. The cache is
// bounded, because the names come from bytes that are not trusted.
var locations struct {
	sync.Mutex
	byName map[string]*time.Location // guarded by the mutex
}

const maxLocations = 1024

// partsOfLocation is the number of parts that the decoder counts when it
// searches for the file of a location. The search takes about the same time
// as decoding this number of parts.
const partsOfLocation = 1024

// located reports whether the location with the name is known without reading a
// file.
func located(name string) bool {
	if name == "" || name == "Local" {
		return true
	}
	locations.Lock()
	defer locations.Unlock()
	_, known := locations.byName[name]
	return known
}

// location returns the location with the name, or nil if there is none.
func location(name string) *time.Location {
	switch name {
	case "":
		return nil
	case "Local":
		return time.Local
	}
	locations.Lock()
	defer locations.Unlock()
	loc, known := locations.byName[name]
	if !known {
		loc, _ = time.LoadLocation(name)
		if len(locations.byName) >= maxLocations || locations.byName == nil {
			locations.byName = make(map[string]*time.Location)
		}
		locations.byName[name] = loc
	}
	return loc
}
