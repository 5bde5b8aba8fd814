package main

import "embed"

// The scripts are generated from the command line's definition, by
// TestCompletionScripts.
//
//go:generate go test -count=1 -run ^TestCompletionScripts$ . -update
//go:embed completions
var completions embed.FS

type completionCommand struct {
	Shell string `arg:"" enum:"bash,zsh,fish" help:"The shell: ${enum}."`
}

// Help documents how the scripts are installed.
func (*completionCommand) Help() string {
	return `To load completions at the start of each bash session, add the first example to ~/.bashrc. For zsh and fish, run the example once; zsh needs compinit in ~/.zshrc.`
}

// Run prints the script.
func (c *completionCommand) Run(s *streams) error {
	script, err := completions.ReadFile("completions/sse." + c.Shell)
	if err != nil {
		return err
	}
	_, err = s.out.Write(script)
	return err
}
