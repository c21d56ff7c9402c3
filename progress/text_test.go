package progress_test

import (
	"testing"
	"time"

	"concert/progress"
)

func TestBar_FitsWidth(t *testing.T) {
	for _, c := range []struct {
		done, total, columns int
		want                 string
	}{
		{5, 10, 80, "[===============>              ]  5 of 10 files"},
		{5, 10, 33, "[=======>       ]  5 of 10 files"},
		{5, 10, 27, "5 of 10 files"}, // 9 columns are too few for a bar
		{5, 10, 14, "5 of 10 files"},
		{5, 10, 10, "5 of 10 f"},
		{5, 10, 1, ""},
		{5, 0, 80, "5 files, 0 running"},
		{12, 10, 80, "[==============================]  12 of 10 files"},
	} {
		if got := progress.BarText(c.done, c.total, c.columns); got != c.want {
			t.Errorf("%d of %d in %d columns: %q, want %q", c.done, c.total, c.columns, got, c.want)
		}
	}
}

func TestCoarse_Estimates(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "1 s", 99 * time.Second: "99 s", 100 * time.Second: "2 min", 99 * time.Minute: "99 min",
		3 * time.Hour: "3 h", 200 * time.Hour: "8 days",
	} {
		if got := progress.Coarse(d); got != want {
			t.Errorf("coarse(%v) = %q, want %q", d, got, want)
		}
	}
}
