// Package pagetest checks HTML pages of this project with a headless browser.
package pagetest

import (
	"context"
	"encoding/json"
	"fmt"
	"html"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// browsers are names of Chromium, the headless one first.
var browsers = []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"}

// Check renders the page in a browser for a desktop, a phone and a printer, in
// light and dark mode, and fails the test if something is cut off, too small,
// or hard to read. If there is no browser, Check skips the test.
func Check(t *testing.T, text string) {
	t.Helper()
	if m := regexp.MustCompile(`(?i)<script|<link|<iframe|(src|href)\s*=|@import|url\(`).FindString(text); m != "" {
		t.Errorf("the page refers to another file: it has %q", m)
	}
	browser := browserPath()
	if browser == "" {
		t.Skip("no Chromium")
	}
	printed := strings.Replace(text, "@media print", "@media screen", 1)
	if printed == text {
		t.Error("the page has no rules for paper")
	}
	for _, c := range []struct {
		name  string
		text  string
		width int
		dark  bool
		white bool
	}{
		{"desktop", text, 1000, false, true},
		{"desktop, dark", text, 1000, true, false},
		{"small window", text, 520, false, true},
		{"phone", text, 360, false, true},
		{"phone, dark", text, 390, true, false},
		{"paper", printed, 800, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			seen := look(t, browser, c.text, c.width, c.dark)
			seen.report(t)
			if c.white != (seen.Light > 0.9) {
				t.Errorf("the background of the page has a luminance of %.2f", seen.Light)
			}
			if seen.Texts < 50 {
				t.Errorf("the page has %d pieces of text", seen.Texts)
			}
		})
	}
}

// sight is the result of the script.
type sight struct {
	Window, Wide int
	Light        float64 // luminance of the background
	Texts        int
	Problems     []string
}

// report fails the test if the page is too wide or has problems. It reports
// each problem.
func (s *sight) report(t testing.TB) {
	t.Helper()
	if s.Wide > s.Window {
		t.Errorf("the page is %d wide, in a window of %d", s.Wide, s.Window)
	}
	for _, problem := range s.Problems {
		t.Error(problem)
	}
}

// measures declares the function measure. This function measures the rendered
// size and the position of every piece of text, and its contrast to the
// background (WCAG 2.2, 1.4.3). Contents of an element that scrolls may be
// larger than the element. Hidden texts are left out.
const measures = `
function parts(c) { return c.match(/[\d.]+/g).map(Number) }
function luminance(c) {
  const f = v => { v /= 255; return v <= 0.03928 ? v / 12.92 : Math.pow((v + 0.055) / 1.055, 2.4) };
  const [r, g, b] = parts(c); return 0.2126 * f(r) + 0.7152 * f(g) + 0.0722 * f(b);
}
function behind(e) {
  for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor, p = parts(c);
    if (p.length < 4 || p[3] > 0) return c;
  }
  return "rgb(255, 255, 255)";
}
function measure() {
  const seen = { Window: innerWidth, Wide: document.documentElement.scrollWidth, Light: luminance(behind(document.body)), Texts: 0, Problems: [] };
  const walk = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let n; n = walk.nextNode(); ) {
    const text = n.data.trim(), e = n.parentElement;
    if (!text || e.closest("title") || !e.checkVisibility()) continue;
    seen.Texts++;
    const style = getComputedStyle(e), drawn = e.closest("svg");
    const range = document.createRange(); range.selectNodeContents(n);
    const box = range.getBoundingClientRect();
    let size = parseFloat(style.fontSize);
    if (drawn) size *= drawn.getBoundingClientRect().width / drawn.viewBox.baseVal.width;
    if (size < 9) seen.Problems.push("text of " + size.toFixed(1) + " pixels: " + text);
    const a = luminance(drawn ? style.fill : style.color), b = luminance(behind(e));
    const contrast = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (contrast < 4.5) seen.Problems.push("a contrast of " + contrast.toFixed(1) + ": " + text);
    if (!e.closest(".scroll, pre") && (box.left < -1 || box.right > innerWidth + 1)) seen.Problems.push("beyond the edge: " + text);
  }
  for (const e of document.querySelectorAll(".scroll")) {
    if (e.scrollWidth > e.clientWidth + 1) seen.Problems.push("a table of " + e.scrollWidth + " pixels in " + e.clientWidth + ": " + e.innerText.slice(0, 60));
  }
  return seen;
}`

// script measures the page when it is loaded, and makes the result its title.
const script = "<script>" + measures + `
addEventListener("load", () => { document.title = JSON.stringify(measure()) });
</script>`

func look(t *testing.T, browser, text string, width int, dark bool) (seen sight) {
	t.Helper()
	dir := t.TempDir()
	file := filepath.Join(dir, "page.html")
	if err := os.WriteFile(file, []byte(strings.Replace(text, "</head>", script+"</head>", 1)), 0o666); err != nil {
		t.Fatal(err)
	}
	scheme := 1
	if dark {
		scheme = 0
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
		"--user-data-dir="+filepath.Join(dir, "profile"), fmt.Sprintf("--window-size=%d,1000", width),
		fmt.Sprintf("--blink-settings=preferredColorScheme=%d", scheme), "--dump-dom", "file://"+file)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	title := regexp.MustCompile(`(?s)<title>(.*?)</title>`).FindSubmatch(out)
	if title == nil {
		t.Fatalf("the browser says %q", out)
	}
	if err := json.Unmarshal([]byte(html.UnescapeString(string(title[1]))), &seen); err != nil {
		t.Fatalf("%v: %s", err, title[1])
	}
	return seen
}
