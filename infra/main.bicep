// The whole platform in one resource group of one region. `azd up` deploys it; docs/deployment.md says what each part is.
targetScope = 'subscription'

@description('Named in every resource, and the resource group: letters and digits.')
@minLength(3)
@maxLength(12)
param environmentName string

@description('The one region that everything is in; nothing is replicated elsewhere.')
param location string

@description('dev: cheap and reachable from the internet. production: private endpoints, public access off.')
@allowed(['dev', 'production'])
param size string = 'production'

@description('Object id of the directory group whose members administer the platform first.')
param platformAdminGroup string

@description('Application (client) id of the API in Entra ID: infra/entra/register.sh makes it.')
param entraClientId string

@description('Days that the audit table is kept in Log Analytics, interactive and archived.')
@minValue(30)
@maxValue(4383)
param auditRetentionDays int = 730

@description('Dimensions of the vectors in the index: those of your embedding model.')
@minValue(2)
@maxValue(4096)
param embeddingDimensions int = 1536

@description('Whether an Azure OpenAI account is made, too.')
param withOpenAI bool = false

@description('Whether an Azure AI Content Safety account is made, too.')
param withContentSafety bool = false

@description('Id of a key in a Key Vault of yours, without a version, to encrypt what is stored with; empty for Microsoft\'s keys.')
param customerManagedKeyUri string = ''

@description('Hosts that the webhook of the escalation rules may name, as in the setting WEBHOOK_HOSTS.')
param webhookHosts string = ''

param tags object = {}

var allTags = union(tags, { 'azd-env-name': environmentName, product: 'governed-assistants' })

resource group 'Microsoft.Resources/resourceGroups@2024-03-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: allTags
}

module platform 'platform.bicep' = {
  name: 'platform'
  scope: group
  params: {
    prefix: environmentName
    location: location
    isPrivate: size == 'production'
    platformAdminGroup: platformAdminGroup
    entraClientId: entraClientId
    auditRetentionDays: auditRetentionDays
    embeddingDimensions: embeddingDimensions
    withOpenAI: withOpenAI
    withContentSafety: withContentSafety
    customerManagedKeyUri: customerManagedKeyUri
    webhookHosts: webhookHosts
    tags: allTags
  }
}

output AZURE_RESOURCE_GROUP string = group.name
output APP_URL string = platform.outputs.appUrl
output IDENTITY_PRINCIPAL_ID string = platform.outputs.identityPrincipalId
