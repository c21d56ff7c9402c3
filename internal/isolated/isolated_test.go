package isolated

import (
	"os"
	"slices"
	"strings"
	"testing"
)

// TestRun_Split: two processes must run the subtests of a divided test. Each
// subtest must run in exactly one of them.
func TestRun_Split(t *testing.T) {
	file := os.Getenv("ISOLATED_TEST_FILE")
	if file == "" {
		file = t.TempDir() + "/ran"
		t.Setenv("ISOLATED_TEST_FILE", file)
	}
	subtests := func(t *testing.T) {
		for _, name := range []string{"Apple", "Mango", "Nut", "Plum/half", "Plum/whole"} {
			t.Run(name, func(t *testing.T) {
				f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
				if err != nil {
					t.Fatal(err)
				}
				defer f.Close()
				if _, err := f.WriteString(t.Name() + "\n"); err != nil {
					t.Error(err)
				}
			})
		}
	}
	Run(t, Test{Name: "divided", Run: subtests, Split: "^[A-M]"}, Test{Name: "whole", Run: subtests})
	if os.Getenv(variable) != "" {
		return // only the parent sees the subtests of all processes
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	ran := strings.Fields(string(b))
	slices.Sort(ran)
	want := []string{
		"TestRun_Split/divided/Apple", "TestRun_Split/divided/Mango", "TestRun_Split/divided/Nut", "TestRun_Split/divided/Plum/half", "TestRun_Split/divided/Plum/whole",
		"TestRun_Split/whole/Apple", "TestRun_Split/whole/Mango", "TestRun_Split/whole/Nut", "TestRun_Split/whole/Plum/half", "TestRun_Split/whole/Plum/whole",
	}
	if !slices.Equal(ran, want) {
		t.Errorf("the processes ran %v, want %v", ran, want)
	}
}
