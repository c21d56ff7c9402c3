package conventions

// exempt lists, for each rule, the directories that do not follow it yet.
var exempt = map[string]string{
	"comment width":  "cluster",
	"example":        "executor cluster/server download gil progress python",
	"word any more":  "executor cluster",
	"word anybody":   "cluster",
	"word for good":  "executor cluster",
	"word lest":      "executor",
	"word likewise":  "executor",
	"word meanwhile": "executor cluster",
	"word nobody":    "executor cluster",
	"word once more": "cluster",
	"word somebody":  "executor cluster",
	"word whoever":   "executor cluster",
}
