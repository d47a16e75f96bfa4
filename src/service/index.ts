export { installService, type InstallServiceRequest } from './install-service.ts';
export { systemd, type ServiceManager } from './service-manager.ts';
export type { ServiceReport, ServiceStep } from './service-report.ts';
export { uninstallService, type UninstallServiceRequest } from './uninstall-service.ts';
