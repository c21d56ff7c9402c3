package processes_test

import (
	"fmt"
	"strings"
	"testing"

	"concert/executortest"
	"concert/processes"
)

// TestPool_Nil: if a Pool was not made by New, its methods must panic, and
// the text of the panic must say this.
func TestPool_Nil(t *testing.T) {
	const advice = "processes: the Pool is nil or zero: make it with New of package processes or python"
	for name, p := range map[string]*processes.Pool{"nil": nil, "zero": new(processes.Pool)} {
		t.Run("Options of "+name, func(t *testing.T) {
			defer func() {
				if text := fmt.Sprint(recover()); !strings.Contains(text, advice) {
					t.Errorf("panic %q, want %q in it", text, advice)
				}
			}()
			p.Options()
		})
	}
	t.Run("nil", func(t *testing.T) { executortest.Unusable(t, (*processes.Pool)(nil), advice) })
	t.Run("zero", func(t *testing.T) { executortest.Unusable(t, new(processes.Pool), advice) })
}
