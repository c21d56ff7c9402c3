package option

import (
	"fmt"
	"math"
	"testing"
	"time"
)

func TestNotNegative_Panics(t *testing.T) {
	for _, c := range []struct {
		name string
		do   func()
		want string
	}{
		{"zero", func() { NotNegative("a: New", "n", 0) }, "<nil>"},
		{"largest", func() { NotNegative("a: New", "n", math.MaxInt) }, "<nil>"},
		{"number", func() { NotNegative("a: New", "Options.Queue", -3) }, "a: New: Options.Queue is -3; it must not be negative"},
		{"time", func() { NotNegative("a: New", "Options.Timeout", -time.Second) }, "a: New: Options.Timeout is -1s; it must not be negative"},
		{"bytes", func() { NotNegative("a: New", "Options.Memory", int64(math.MinInt64)) }, "a: New: Options.Memory is -9223372036854775808; it must not be negative"},
	} {
		t.Run(c.name, func(t *testing.T) {
			defer func() {
				if got := fmt.Sprint(recover()); got != c.want {
					t.Errorf("panic text = %q, want %q", got, c.want)
				}
			}()
			c.do()
		})
	}
}
