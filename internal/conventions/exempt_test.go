package conventions

// exempt lists, for each rule, the directories that do not follow it yet.
var exempt = map[string]string{
	"comment width":  "choose cluster processes/internal/child processes/internal/confine processes/internal/osproc processes/internal/shm",
	"doc comment":    "choose",
	"example":        ". cluster/server download gil processes progress python",
	"word any more":  ". cluster processes",
	"word anybody":   "cluster",
	"word for good":  ". choose cluster processes",
	"word lest":      ".",
	"word likewise":  ". choose processes",
	"word meanwhile": ". choose cluster processes",
	"word nobody":    ". cluster processes",
	"word once more": "choose cluster",
	"word somebody":  ". cluster processes",
	"word whoever":   ". cluster processes",
}
