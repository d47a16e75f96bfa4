export { parseConfigurationFile } from './configuration-file.ts';
export { SYSTEM_DIRECTORIES } from './default-directories.ts';
export { formatBindAddress, parseBindAddress, type BindAddress } from './bind-address.ts';
export {
  CONFIG_FILE_VARIABLE,
  LAUNCHER_VARIABLE,
  loadConfiguration,
  unknownVariables,
  type ConfigurationSources,
} from './load-configuration.ts';
export { SETTINGS, type Configuration, type FuseDriver, type LogLevel } from './settings.ts';
