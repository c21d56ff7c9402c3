package pagetest

import (
	"bufio"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// Browser is a headless Chromium with one page. The methods use the DevTools
// protocol over two pipes. They fail the test if the browser fails.
type Browser struct {
	t       testing.TB
	session string
	out     *os.File

	mu       sync.Mutex
	next     int                   // guarded by mu: number of the next request
	pending  map[int]chan response // guarded by mu
	problems []string              // guarded by mu
	gone     error                 // guarded by mu: why the connection has ended
}

type response struct {
	ID     int             `json:"id"`
	Method string          `json:"method"`
	Params json.RawMessage `json:"params"`
	Result json.RawMessage `json:"result"`
	Error  *struct {
		Message string `json:"message"`
	} `json:"error"`
}

// browserTime is the maximum time of a request to the browser.
const browserTime = time.Minute

// browserPath returns the path of a browser, or "".
func browserPath() string {
	for _, name := range browsers {
		if path, err := exec.LookPath(name); err == nil {
			return path
		}
	}
	return ""
}

// Start starts a browser, which ends with the test. If there is no browser,
// Start skips the test.
func Start(t testing.TB) *Browser {
	t.Helper()
	path := browserPath()
	if path == "" {
		t.Skip("no Chromium")
	}
	toBrowser, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	in, fromBrowser, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars", "--no-first-run",
		"--user-data-dir="+filepath.Join(t.TempDir(), "profile"), "--remote-debugging-pipe", "about:blank")
	cmd.ExtraFiles = []*os.File{toBrowser, fromBrowser} // descriptors 3 and 4
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	toBrowser.Close()
	fromBrowser.Close()
	b := &Browser{t: t, out: out, pending: map[int]chan response{}}
	done := make(chan struct{})
	go func() {
		defer close(done)
		b.read(in)
	}()
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		out.Close()
		<-done
		in.Close()
		if t.Failed() && stderr.Len() > 0 {
			t.Logf("the browser wrote: %s", stderr.String())
		}
	})
	var target struct {
		ID string `json:"targetId"`
	}
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct {
		ID string `json:"sessionId"`
	}
	b.call("Target.attachToTarget", map[string]any{"targetId": target.ID, "flatten": true}, &session)
	b.session = session.ID
	for _, domain := range []string{"Page", "Runtime", "Log"} {
		b.call(domain+".enable", nil, nil)
	}
	return b
}

// read reads answers and events. A zero byte ends each of them.
func (b *Browser) read(in *os.File) {
	r := bufio.NewReaderSize(in, 1<<20)
	for {
		text, err := r.ReadBytes(0)
		if err != nil {
			b.mu.Lock()
			b.gone = err
			for _, c := range b.pending {
				close(c)
			}
			b.pending = nil
			b.mu.Unlock()
			return
		}
		var m response
		if json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &m) != nil {
			continue
		}
		b.mu.Lock()
		if c, ok := b.pending[m.ID]; ok && m.ID > 0 {
			delete(b.pending, m.ID)
			c <- m
		}
		b.problems = append(b.problems, problemIn(m)...)
		b.mu.Unlock()
	}
}

// problemIn returns the errors and warnings that an event reports.
func problemIn(m response) []string {
	var p struct {
		Type  string `json:"type"`
		Entry struct {
			Level string `json:"level"`
			Text  string `json:"text"`
			URL   string `json:"url"`
		} `json:"entry"`
		Args []struct {
			Value       any    `json:"value"`
			Description string `json:"description"`
		} `json:"args"`
		Details struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	json.Unmarshal(m.Params, &p)
	switch m.Method {
	case "Runtime.exceptionThrown":
		return []string{p.Details.Text + ": " + p.Details.Exception.Description}
	case "Runtime.consoleAPICalled":
		if p.Type == "error" || p.Type == "warning" {
			return []string{fmt.Sprintf("console.%s: %+v", p.Type, p.Args)}
		}
	case "Log.entryAdded":
		if p.Entry.Level == "error" || p.Entry.Level == "warning" {
			return []string{p.Entry.Level + ": " + p.Entry.Text + " " + p.Entry.URL}
		}
	}
	return nil
}

// call sends a request and waits for its result.
func (b *Browser) call(method string, params, result any) {
	b.t.Helper()
	if params == nil {
		params = map[string]any{}
	}
	answer := make(chan response, 1)
	b.mu.Lock()
	if b.gone != nil {
		b.mu.Unlock()
		b.t.Fatalf("%s: the browser has ended: %v", method, b.gone)
	}
	b.next++
	id := b.next
	b.pending[id] = answer
	b.mu.Unlock()
	request := map[string]any{"id": id, "method": method, "params": params}
	if b.session != "" {
		request["sessionId"] = b.session
	}
	text, err := json.Marshal(request)
	if err == nil {
		_, err = b.out.Write(append(text, 0))
	}
	if err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	select {
	case m, ok := <-answer:
		if !ok {
			b.t.Fatalf("%s: the browser has ended", method)
		}
		if m.Error != nil {
			b.t.Fatalf("%s: %s", method, m.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(m.Result, result); err != nil {
				b.t.Fatalf("%s: %v", method, err)
			}
		}
	case <-time.After(browserTime):
		b.t.Fatalf("%s: no answer within %v", method, browserTime)
	}
}

// Window sets the size of the window, and the color scheme.
func (b *Browser) Window(width, height int, dark bool) {
	b.t.Helper()
	b.call("Emulation.setDeviceMetricsOverride", map[string]any{"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false}, nil)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	b.call("Emulation.setEmulatedMedia", map[string]any{"features": []map[string]string{{"name": "prefers-color-scheme", "value": scheme}}}, nil)
}

// Open loads a page, and waits until it is loaded.
func (b *Browser) Open(url string) {
	b.t.Helper()
	b.call("Page.navigate", map[string]any{"url": url}, nil)
	b.Wait(`location.href !== "about:blank" && document.readyState === "complete"`)
}

// Eval evaluates an expression in the page, waits for it if it is a promise,
// and stores its value into result, unless result is nil.
func (b *Browser) Eval(expression string, result any) {
	b.t.Helper()
	var r struct {
		Result struct {
			Value json.RawMessage `json:"value"`
		} `json:"result"`
		Details *struct {
			Text      string `json:"text"`
			Exception struct {
				Description string `json:"description"`
			} `json:"exception"`
		} `json:"exceptionDetails"`
	}
	b.call("Runtime.evaluate", map[string]any{"expression": expression, "awaitPromise": true, "returnByValue": true}, &r)
	if r.Details != nil {
		b.t.Fatalf("%s: %s %s", expression, r.Details.Text, r.Details.Exception.Description)
	}
	if result != nil {
		if err := json.Unmarshal(r.Result.Value, result); err != nil {
			b.t.Fatalf("%s: %v: %s", expression, err, r.Result.Value)
		}
	}
}

// Wait waits until an expression is true in the page.
func (b *Browser) Wait(expression string) {
	b.t.Helper()
	for until := time.Now().Add(browserTime); ; time.Sleep(20 * time.Millisecond) {
		ok := false
		b.Eval("!!("+expression+")", &ok)
		if ok {
			return
		}
		if time.Now().After(until) {
			text := ""
			b.Eval("document.body.innerText", &text)
			b.t.Fatalf("not within %v: %s; the page shows:\n%s", browserTime, expression, text)
		}
	}
}

// keyCodes are the codes of the keys that tests press.
var keyCodes = map[string]int{
	"Tab": 9, "Enter": 13, "Escape": 27, " ": 32, "End": 35, "Home": 36, "ArrowLeft": 37, "ArrowUp": 38, "ArrowRight": 39, "ArrowDown": 40,
}

// Press presses a key.
func (b *Browser) Press(key string) {
	b.t.Helper()
	code := key
	text := ""
	switch key {
	case " ":
		code, text = "Space", " "
	case "Enter":
		text = "\r"
	}
	params := map[string]any{"type": "keyDown", "key": key, "code": code, "windowsVirtualKeyCode": keyCodes[key]}
	if text != "" {
		params["text"] = text
	}
	b.call("Input.dispatchKeyEvent", params, nil)
	b.call("Input.dispatchKeyEvent", map[string]any{"type": "keyUp", "key": key, "code": code, "windowsVirtualKeyCode": keyCodes[key]}, nil)
}

// Screenshot writes the whole page to a PNG file.
func (b *Browser) Screenshot(file string) {
	b.t.Helper()
	var r struct {
		Data string `json:"data"`
	}
	b.call("Page.captureScreenshot", map[string]any{"captureBeyondViewport": true}, &r)
	data, err := base64.StdEncoding.DecodeString(r.Data)
	if err == nil {
		err = os.WriteFile(file, data, 0o666)
	}
	if err != nil {
		b.t.Fatal(err)
	}
}

// Look measures all texts of the page, as Check does, and fails the test if
// something is cut off, too small, or hard to read.
func (b *Browser) Look() {
	b.t.Helper()
	var text string
	b.Eval("(() => {"+measures+"; return JSON.stringify(measure())})()", &text)
	var seen sight
	if err := json.Unmarshal([]byte(text), &seen); err != nil {
		b.t.Fatal(err)
	}
	seen.report(b.t)
}

// Problems returns the errors and warnings of the page so far: exceptions,
// messages on the console, files that were not found, and violations of its
// policy.
func (b *Browser) Problems() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return strings.Join(b.problems, "\n")
}
