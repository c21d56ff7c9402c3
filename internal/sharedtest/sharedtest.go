// Package sharedtest has values for tests of encoders. Each value refers many
// times to the same data, so its encoding is much larger than the value.
package sharedtest

import "strings"

// Types whose values can refer twice to the same data.
type (
	// Pointers refers twice to the next level by pointers.
	Pointers struct{ Left, Right *Pointers }
	// Array refers twice to the next level by the elements of an array.
	Array struct{ Kids [2]*Array }
	// Slice refers twice to the next level by the elements of a slice.
	Slice struct{ Kids []*Slice }
	// Map refers twice to the next level by its values.
	Map map[int]Map
	// Boxes refers twice to the next level by interfaces.
	Boxes struct{ Left, Right any }
	// One is stored in separate memory if an interface contains it.
	One struct{ Only any }
	// Direct is stored in the interface itself.
	Direct struct{ Next *[2]any }
)

// Levels returns values of n levels. Each level refers twice to the next level.
// The keys name the kinds of references.
func Levels(n int) map[string]any {
	pointers, array, slice, m := &Pointers{}, &Array{}, &Slice{}, Map{}
	list, object, boxes, arrays, numbers, one := any("the end"), any(1.5), any(1), any(2), any([]float64{1}), any("the end")
	direct := any(Direct{&[2]any{1, 2}})
	for range n {
		pointers = &Pointers{pointers, pointers}
		array = &Array{[2]*Array{array, array}}
		slice = &Slice{[]*Slice{slice, slice}}
		m = Map{1: m, 2: m}
		list = []any{list, list}
		object = map[string]any{"left": object, "right": object}
		boxes = Boxes{boxes, boxes}
		arrays = [2]any{arrays, arrays}
		numbers = []any{numbers, numbers}
		one = One{Boxes{one, one}}
		direct = Direct{&[2]any{direct, direct}}
	}
	return map[string]any{
		"pointers": pointers, "array": array, "slices": slice, "map": m, "list": list, "object": object, "numbers": numbers,
		"structs in interfaces": boxes, "arrays in interfaces": arrays, "structs in structs": one, "pointers in interfaces": direct,
	}
}

// Refused returns values that an encoder must refuse, because their encoding
// would consist almost only of copies of the same data.
func Refused() map[string]any {
	all := Levels(60)
	rows := make([][]byte, 100)
	large := make([]byte, 1<<20)
	for i := range rows {
		rows[i] = large
	}
	all["rows"] = rows
	all["end"] = struct {
		A any
		L *Pointers
	}{1, all["pointers"].(*Pointers)}
	all["few levels"] = Levels(25)["structs in interfaces"]
	wide := any(Boxes{strings.Repeat("x", 1<<10), 1})
	for range 10 {
		wide = [10]any{wide, wide, wide, wide, wide, wide, wide, wide, wide, wide}
	}
	all["wide"] = wide
	return all
}
