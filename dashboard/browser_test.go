package dashboard_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"concert"
	"concert/dashboard"
	"concert/goroutines"
	"concert/internal/page/pagetest"
)

// hostile is a text that would run if a page inserted it as HTML.
const hostile = `<img src=x onerror="document.title='broken'"><script>document.title='broken'</script>`

// TestPage_Browser opens the page of a pool in a browser, on a desktop and on a
// phone, in light and dark mode. It compares the page with what happened, uses
// the keyboard, and presses the buttons.
func TestPage_Browser(t *testing.T) {
	b := pagetest.Start(t)
	ex := goroutines.New(3, nil)
	defer ex.Close()
	canceled := make(chan dashboard.Task, 1)
	replayed := make(chan dashboard.Task, 100)
	release := make(chan struct{})
	pauses := make(chan bool, 2)
	d := dashboard.New(&dashboard.Options{
		Title:    "a pool with " + strings.Repeat("long", 30) + " name",
		OnPause:  func(_ context.Context, on bool) error { pauses <- on; return nil },
		OnCancel: func(_ context.Context, t dashboard.Task) error { close(release); canceled <- t; return nil },
		OnReplay: func(_ context.Context, t dashboard.Task) error { replayed <- t; return nil },
	})
	d.Add("images", ex)
	var other dashboard.Feed
	d.Add("uploads to "+strings.Repeat("a-very-long-host-name.", 5)+"example", &other)
	server := httptest.NewServer(d)
	defer server.Close()

	b.Window(1280, 900, false)
	b.Open(server.URL + "/debug/concert/")
	b.Wait(`document.querySelector("#state").className === "live"`)

	// 60 tasks with 12 failures, and one that runs until the button is pressed.
	work := func(_ context.Context, n int) (int, error) {
		time.Sleep(time.Millisecond)
		if n%5 == 4 {
			return 0, fmt.Errorf("line %d: %s", n, hostile)
		}
		return n, nil
	}
	inputs := make([]int, 60)
	for i := range inputs {
		inputs[i] = i
	}
	ctx := concert.WithInputLabels(t.Context(), func(n int) string { return fmt.Sprintf("photo-%d.jpg", n) })
	for range concert.Map(ctx, ex, work, slices.Values(inputs)) {
	}
	longest := concert.Submit(concert.WithLabel(t.Context(), hostile), ex, func(ctx context.Context, n int) (int, error) {
		concert.Progress(ctx, 1, 4)
		<-release
		return n, errors.New("stopped")
	}, 0)
	numbers := `[...document.querySelectorAll("#numbers div")].map(d => d.querySelector("dt").innerText + " " + d.querySelector("dd span").innerText).join(", ")`
	b.Wait(numbers + `.includes("Finished 60")`)
	b.Wait(`document.querySelectorAll("#running tbody tr").length === 1`)
	text := ""
	b.Eval(numbers, &text)
	if want := "Running 1, Queued 0, Finished 60, Failed 12"; !strings.HasSuffix(text, want) { // after the number of workers
		t.Errorf("the numbers are %q, want %q", text, want)
	}
	b.Eval(`document.querySelector("#functions tbody tr").innerText`, &text)
	if fields := strings.Split(text, "\t"); len(fields) != 7 || !strings.Contains(fields[0], "TestPage_Browser") || fields[1] != "60" || fields[2] != "12" {
		t.Errorf("the first function is %q", text)
	}
	b.Eval(`document.querySelector("#failures").innerText`, &text)
	if !strings.Contains(text, "12×") || !strings.Contains(text, hostile) {
		t.Errorf("the failures are %q", text)
	}
	b.Eval(`document.querySelector("#running tbody").innerText`, &text)
	if !strings.Contains(text, hostile) || !strings.Contains(text, "25%") {
		t.Errorf("the running tasks are %q", text)
	}

	for _, view := range []struct {
		name  string
		width int
		dark  bool
	}{{"desktop", 1280, false}, {"desktop-dark", 1280, true}, {"phone", 390, false}, {"phone-dark", 390, true}} {
		t.Run(view.name, func(t *testing.T) {
			b.Window(view.width, 900, view.dark)
			b.Eval(`document.querySelectorAll("details").forEach(d => d.open = true)`, nil)
			b.Eval(`new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))`, nil)
			b.Look()
			if dir := os.Getenv("SCREENSHOTS"); dir != "" {
				b.Screenshot(filepath.Join(dir, view.name+".png"))
			}
		})
	}

	t.Run("keyboard", func(t *testing.T) { keyboard(t, b) })

	t.Run("buttons", func(t *testing.T) {
		b.Eval(`document.querySelector("#pause").click()`, nil)
		b.Wait(`document.querySelector("#pause").innerText === "Resume" && document.querySelector("#message").innerText === "paused"`)
		b.Eval(`document.querySelector("#pause").click()`, nil)
		b.Wait(`document.querySelector("#pause").innerText === "Pause"`)
		if first, second := <-pauses, <-pauses; !first || second {
			t.Errorf("paused %v, then %v", first, second)
		}
		b.Eval(`window.confirm = text => { document.body.dataset.question = text; return true; }; document.querySelector("#running tbody button").click()`, nil)
		if task := <-canceled; task.Source != "images" || task.Input == nil || task.Input.Label != hostile {
			t.Errorf("canceled %+v", task)
		}
		question := ""
		b.Eval(`document.body.dataset.question`, &question)
		if !strings.HasPrefix(question, "Cancel task ") || !strings.Contains(question, hostile) {
			t.Errorf("the question is %q", question)
		}
		longest.Result(t.Context())
		b.Wait(`document.querySelector("#running").innerText.includes("No task is running")`)
		b.Eval(`document.querySelector("#failures .replay").click()`, nil)
		b.Wait(`document.querySelector("#message").innerText === "12 of 12 replayed"`)
		for range 12 {
			if task := <-replayed; task.Input.Index%5 != 4 {
				t.Errorf("replayed %+v", task)
			}
		}
	})

	t.Run("moving rows", func(t *testing.T) {
		b.Eval(`document.querySelectorAll("#sources button")[1].click()`, nil)
		for i := range uint64(2) {
			other.Observe(concert.Event{Kind: concert.TaskStarted, Task: i + 1, Name: "f", Worker: -1})
		}
		b.Wait(`document.querySelectorAll("#running tbody tr").length === 2`)
		b.Eval(`document.querySelectorAll("#running tbody button")[1].focus()`, nil)
		other.Observe(concert.Event{Kind: concert.TaskFinished, Task: 1})
		b.Wait(`document.querySelectorAll("#running tbody tr").length === 1`)
		label := ""
		b.Eval(`document.activeElement.getAttribute("aria-label") || document.activeElement.tagName`, &label)
		if label != "Cancel task 2" {
			t.Errorf("after the row has moved, the focus is on %q", label)
		}
		other.Observe(concert.Event{Kind: concert.TaskFinished, Task: 2})
		b.Wait(numbers + `.includes("Finished 2")`)
	})

	t.Run("other source", func(t *testing.T) {
		b.Window(390, 900, false)
		b.Eval(`document.querySelectorAll("#sources button")[1].click()`, nil)
		b.Wait(numbers + `.includes("Finished 2")`)
		b.Look()
		if dir := os.Getenv("SCREENSHOTS"); dir != "" {
			b.Screenshot(filepath.Join(dir, "empty.png"))
		}
	})

	d.Close()
	b.Wait(`document.querySelector("#state").innerText.startsWith("ended at")`)
	b.Eval(`document.title`, &text)
	if text == "broken" {
		t.Error("the page ran code of a task")
	}
	if problems := b.Problems(); problems != "" {
		t.Errorf("the console has: %s", problems)
	}
}

// keyboard goes through the page with the Tab key. Each stop must be visible,
// in the order of the page, and marked. The arrow keys choose tasks.
func keyboard(t *testing.T, b *pagetest.Browser) {
	b.Window(1280, 900, false)
	b.Eval(`document.querySelectorAll("details").forEach(d => d.open = false); document.activeElement.blur(); scrollTo(0, 0)`, nil)
	const stop = `(() => {
		const e = document.activeElement, box = e.getBoundingClientRect(), style = getComputedStyle(e);
		return [e.id || e.innerText.slice(0, 20), e === document.body ? "" : e.tagName, style.outlineStyle + " " + style.outlineWidth, box.width > 0 && box.height > 0];
	})()`
	var order []string
	for range 30 {
		b.Press("Tab")
		var at []any
		b.Eval(stop, &at)
		if at[1] == "" {
			break
		}
		order = append(order, fmt.Sprint(at[0]))
		if at[2] != "solid 2px" || at[3] != true {
			t.Errorf("the focus on %v is not visible: %v", at[0], at)
		}
	}
	got := strings.Join(order, ", ")
	for _, want := range []string{"pause", "images", "10 s, 1 min, 10 min", "stream", "Cancel", "12×"} {
		_, rest, found := strings.Cut(got, want)
		if !found {
			t.Fatalf("the Tab key does not reach %q in order: %s", want, strings.Join(order, ", "))
		}
		got = rest
	}

	b.Eval(`document.querySelector("#stream").focus()`, nil)
	seen := map[string]bool{}
	for _, key := range []string{"End", "Home", "ArrowRight", "ArrowRight", "ArrowDown", "ArrowUp", "ArrowLeft"} {
		b.Press(key)
		text := ""
		b.Eval(`document.querySelector("#picked").innerText`, &text)
		if !strings.HasPrefix(text, "Task ") || !strings.Contains(text, "worker ") {
			t.Errorf("after %s, the chosen task is %q", key, text)
		}
		seen[text] = true
	}
	if len(seen) < 4 {
		t.Errorf("the keys have chosen %d tasks", len(seen))
	}
	b.Press("Escape")
	b.Wait(`document.querySelector("#picked").hidden`)
	b.Eval(`document.querySelector("#failures summary").focus()`, nil)
	b.Press("Enter")
	b.Wait(`document.querySelector("#failures details").open`)
}
