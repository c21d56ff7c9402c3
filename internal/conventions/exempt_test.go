package conventions

// exempt lists, for each rule, the directories that do not follow it yet.
var exempt = map[string]string{
	"comment width":  "cluster processes/internal/child processes/internal/confine processes/internal/osproc processes/internal/shm",
	"example":        "executor cluster/server download gil processes progress python",
	"word any more":  "executor cluster processes",
	"word anybody":   "cluster",
	"word for good":  "executor cluster processes",
	"word lest":      "executor",
	"word likewise":  "executor processes",
	"word meanwhile": "executor cluster processes",
	"word nobody":    "executor cluster processes",
	"word once more": "cluster",
	"word somebody":  "executor cluster processes",
	"word whoever":   "executor cluster processes",
}
