package executor_test

import (
	"reflect"
	"slices"
	"testing"
	"testing/synctest"

	"concert"
	"concert/executor"
)

// word is a flat type of flatWords.
type word struct{ Text string }

// flatWords is a codec. Its flat functions refuse words of more than three
// bytes.
type flatWords struct{}

func (flatWords) Methods(reflect.Type) (always, depends bool) { return false, false }

func (flatWords) HoldsMethods(reflect.Value) bool { return false }

func (flatWords) Encode(v any) ([]byte, error) { return []byte("general " + v.(word).Text), nil }

func (flatWords) Decode(result executor.Encoded, v any) error {
	*v.(*word) = word{"general " + string(result.Bytes)}
	return nil
}

func (flatWords) Flat(t reflect.Type) *executor.Flat {
	if t != reflect.TypeFor[word]() {
		return nil
	}
	return &executor.Flat{
		Append: func(b []byte, p any) ([]byte, bool) {
			text := p.(*word).Text
			return append(b, text...), len(text) <= 3
		},
		Decode: func(b []byte, p any) bool {
			*p.(*word) = word{string(b)}
			return len(b) <= 3
		},
	}
}

var spell = executor.Declare[word, word]("concert_test.spell", flatWords{})

// TestMap_Flat: a Map encodes arguments and decodes results by the flat
// functions of a codec. If a flat function refuses a value, the codec encodes
// or decodes it.
func TestMap_Flat(t *testing.T) {
	t.Run("mixed", func(t *testing.T) {
		testFlat(t, []word{{"first"}, {"a"}, {"second"}, {"bcd"}, {""}},
			[]string{"a", "bcd", "general ", "general first", "general second"}, []string{"general general first", "a", "general general second", "bcd", "general general "})
	})
	t.Run("refused", func(t *testing.T) {
		testFlat(t, []word{{"first"}}, []string{"general first"}, []string{"general general first"})
	})
}

// testFlat maps inputs to themselves. wantArgs has the arguments in the order
// of their bytes, and want has the results.
func testFlat(t *testing.T, inputs []word, wantArgs, want []string) {
	synctest.Test(t, func(t *testing.T) {
		ex := newHandExecutor()
		ex.group = executor.NewRemoteGroup(handQueue{ex}, executor.Limits{}, nil)
		var got []string
		done := make(chan struct{})
		go func() {
			defer close(done)
			for w, err := range concert.Map(t.Context(), ex, spell, slices.Values(inputs)) {
				if err != nil {
					w.Text = err.Error()
				}
				got = append(got, w.Text)
			}
		}()
		var args []string
		for len(args) < len(inputs) {
			synctest.Wait()
			if len(ex.tasks) == 0 {
				t.Fatalf("no task is left after the arguments %q", args)
			}
			task := ex.tasks[0]
			ex.tasks = ex.tasks[1:]
			batch, again := task.Claim(10, 1<<20)
			if again {
				ex.keep(task)
			}
			if batch == nil {
				continue // all items are being encoded
			}
			if len(batch.Args) == 0 {
				t.Fatal("Claim has returned a batch without calls")
			}
			results := executor.List{Kind: batch.Args[0].Kind}
			for _, arg := range batch.Args {
				args = append(args, string(arg.Bytes))
				results.Sizes = append(results.Sizes, byte(len(arg.Bytes)), 0)
				results.Bytes = append(results.Bytes, arg.Bytes...)
			}
			if !batch.SettleList(0, 0, results) {
				t.Fatal("SettleList has not settled the items of a Map")
			}
		}
		<-done
		if slices.Sort(args); !slices.Equal(args, wantArgs) {
			t.Errorf("arguments %q, want %q", args, wantArgs)
		}
		if !slices.Equal(got, want) {
			t.Errorf("results %q, want %q", got, want)
		}
	})
}
