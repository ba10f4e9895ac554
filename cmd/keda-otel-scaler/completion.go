package main

import (
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"
)

// shells are those that cobra writes scripts for.
var shells = []string{"bash", "zsh", "fish", "powershell"}

// newCompletion is the command that prints a shell's completion script. It takes
// the place of cobra's, whose help is one document a shell.
func newCompletion() *cobra.Command {
	return &cobra.Command{
		Use:   "completion <" + strings.Join(shells, "|") + ">",
		Short: "Print the script with which a shell completes this program's commands and flags",
		Long: "Print the script with which a shell completes this program's commands, flags and\n" +
			"their values. bash needs the package bash-completion, zsh an autoload -U compinit;\n" +
			"compinit before it.\n\n" +
			"Exit codes: 0 printed; 1 there is no such shell.",
		Example: "  source <(keda-otel-scaler completion bash)                # for this shell\n" +
			"  keda-otel-scaler completion bash > /etc/bash_completion.d/keda-otel-scaler\n" +
			"  keda-otel-scaler completion zsh > \"${fpath[1]}/_keda-otel-scaler\"\n" +
			"  keda-otel-scaler completion fish > ~/.config/fish/completions/keda-otel-scaler.fish\n" +
			"  keda-otel-scaler completion powershell | Out-String | Invoke-Expression",
		ValidArgs: shells,
		Args: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 || !slices.Contains(shells, args[0]) {
				return fmt.Errorf("completion is for one of %s, not %q; write for example %s bash", strings.Join(shells, ", "), strings.Join(args, " "), cmd.CommandPath())
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			root, out := cmd.Root(), cmd.OutOrStdout()
			switch args[0] {
			case "zsh":
				return root.GenZshCompletion(out)
			case "fish":
				return root.GenFishCompletion(out, true)
			case "powershell":
				return root.GenPowerShellCompletionWithDesc(out)
			}
			return root.GenBashCompletionV2(out, true)
		},
	}
}

// complete offers the values of a flag to the shell: each the value, a tab, and
// what it means.
func complete(cmd *cobra.Command, flag string, values ...string) {
	if err := cmd.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)); err != nil {
		panic(err) // there is no such flag: a mistake in here
	}
}
