package python

import (
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/processes"
)

// TestOptions_SameAsPool: each option of package processes must also be an
// option of package python, and must have the same value in the pool. The
// test has a list of exceptions with their reasons.
func TestOptions_SameAsPool(t *testing.T) {
	without := map[string]string{
		"Command":     "it is the interpreter",
		"Check":       "the package checks arguments that other processes have encoded",
		"CheckShared": "the package checks values that other processes have encoded",
		"SharedCodec": "the package has one codec",
		"Sandbox":     "an interpreter cannot be confined: it starts as a program of its own",
	}
	o := &Options{
		Init: processes.Initialize(Func[int, int]("tasks:square"), 1), Threads: 2, Env: []string{"A=b"}, Dir: "/", Queue: 3,
		Timeout: 4, Grace: 5, StartTimeout: 6 * time.Second, MaxTasks: 7, MaxResident: 8, Memory: 9, MaxResult: 10,
		Retry: func(*processes.WorkerError, int) bool { return true }, Output: slog.New(slog.DiscardHandler), Observer: func(concert.Event) {},
	}
	from, to := reflect.ValueOf(o).Elem(), reflect.ValueOf(o.pool())
	for f := range to.Type().Fields() {
		own, ok := from.Type().FieldByName(f.Name)
		if why := without[f.Name]; ok == (why != "") {
			t.Errorf("processes.Options.%s: python.Options has it: %t, and the reason why not is %q", f.Name, ok, why)
		}
		if !ok {
			continue
		}
		if own.Type != f.Type {
			t.Errorf("%s is a %v, want a %v", f.Name, own.Type, f.Type)
			continue
		}
		a, b := from.FieldByName(f.Name), to.FieldByName(f.Name)
		same := reflect.DeepEqual(a.Interface(), b.Interface())
		if f.Type.Kind() == reflect.Func {
			same = a.Pointer() == b.Pointer()
		}
		if a.IsZero() || !same {
			t.Errorf("%s: %v arrives as %v; want another value than zero, and the same", f.Name, a, b)
		}
	}
	for f := range from.Type().Fields() {
		if _, ok := to.Type().FieldByName(f.Name); !ok && f.Name != "Interpreter" && f.Name != "Path" && f.Name != "Import" {
			t.Errorf("python.Options.%s is neither an option of processes nor one that New reads", f.Name)
		}
	}
}

// TestNew_NegativeNumbers: if an argument or an option of New is negative,
// New must panic, and the panic must name the argument or the option.
func TestNew_NegativeNumbers(t *testing.T) {
	for want, start := range map[string]func() (*processes.Pool, error){
		"python: New: n ": func() (*processes.Pool, error) { return New(-1, nil) },
		"Options.Threads": func() (*processes.Pool, error) { return New(1, &Options{Threads: -1}) },
		"Options.Memory":  func() (*processes.Pool, error) { return New(1, &Options{Memory: -1}) },
	} {
		t.Run(want, func(t *testing.T) {
			func() {
				defer func() {
					if v := fmt.Sprint(recover()); !strings.Contains(v, want) {
						t.Errorf("the panic is %q; want %q", v, want)
					}
				}()
				start()
			}()
		})
	}
}
