import { Argument, type Command } from 'commander';

/** `galleonfs completion bash|zsh`: prints a script for the shell to source, made from the commands there are. */
export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('print a completion script; use it with: source <(galleonfs completion bash)')
    .addArgument(new Argument('<shell>').choices(['bash', 'zsh']))
    .action((shell: string) => {
      const start = shell === 'zsh' ? 'autoload -U +X bashcompinit && bashcompinit\n' : '';
      process.stdout.write(start + bashScript(program));
    });
}

function bashScript(program: Command): string {
  const cases = program.commands
    .filter(({ commands }) => commands.length > 0)
    .map((command) => `    ${command.name()}) words="${names(command)}" ;;`);
  const flags = program.options.map(({ long }) => long).filter((long) => long !== undefined);
  return `_galleonfs() {
  local words="${names(program)}"
  case "\${COMP_WORDS[1]}" in
${cases.join('\n')}
  esac
  case "\${COMP_WORDS[COMP_CWORD]}" in
    -*) words="${flags.join(' ')}" ;;
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -F _galleonfs galleonfs
`;
}

function names(command: Command): string {
  return command.commands.map((sub) => sub.name()).join(' ');
}
