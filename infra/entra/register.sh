#!/bin/sh
# Registers the API in Entra ID, and lets the app's identity look up groups. By an administrator of the directory, with
# the Azure CLI signed in:
#
#   infra/entra/register.sh api                      prints the client id for ENTRA_CLIENT_ID
#   infra/entra/register.sh look-up PRINCIPAL_ID     after the deployment: IDENTITY_PRINCIPAL_ID of its outputs
#
# docs/deployment.md says what each consent is for. Both may run twice.
set -eu

NAME=${NAME:-"Governed assistants"}
GRAPH=00000003-0000-0000-c000-000000000000  # Microsoft Graph, in every directory

api() {
    id=$(az ad app list --display-name "$NAME" --query "[0].appId" -o tsv)
    if [ -z "$id" ]; then
        id=$(az ad app create --display-name "$NAME" --sign-in-audience AzureADMyOrg --query appId -o tsv)
    fi
    scope=$(az ad app show --id "$id" --query "api.oauth2PermissionScopes[0].id" -o tsv)
    [ -n "$scope" ] || scope=$(uuidgen)
    # Tokens of version 2.0; in their groups claim only groups that are assigned to the application; no app roles.
    az rest --method PATCH --url "https://graph.microsoft.com/v1.0/applications(appId='$id')" \
        --headers Content-Type=application/json --body "{
          \"identifierUris\": [\"api://$id\"],
          \"groupMembershipClaims\": \"ApplicationGroup\",
          \"optionalClaims\": {\"accessToken\": [{\"name\": \"groups\"}]},
          \"api\": {
            \"requestedAccessTokenVersion\": 2,
            \"oauth2PermissionScopes\": [{
              \"id\": \"$scope\", \"value\": \"access_as_user\", \"type\": \"User\", \"isEnabled\": true,
              \"userConsentDisplayName\": \"Ask the assistants\",
              \"userConsentDescription\": \"Lets a client ask the assistants as you.\",
              \"adminConsentDisplayName\": \"Ask the assistants\",
              \"adminConsentDescription\": \"Lets a client ask the assistants as the person who is signed in.\"
            }]
          }
        }"
    az ad sp show --id "$id" >/dev/null 2>&1 || az ad sp create --id "$id" >/dev/null
    # Only people and groups that are assigned to the application get a token for it.
    az ad sp update --id "$id" --set appRoleAssignmentRequired=true
    echo "$id"
}

look_up() {
    graph=$(az ad sp show --id $GRAPH --query id -o tsv)
    for permission in User.Read.All GroupMember.Read.All; do
        role=$(az ad sp show --id $GRAPH --query "appRoles[?value=='$permission'].id | [0]" -o tsv)
        given=$(az rest --url "https://graph.microsoft.com/v1.0/servicePrincipals/$1/appRoleAssignments" \
            --query "value[?appRoleId=='$role'] | [0].id" -o tsv)
        [ -n "$given" ] || az rest --method POST \
            --url "https://graph.microsoft.com/v1.0/servicePrincipals/$1/appRoleAssignments" \
            --headers Content-Type=application/json \
            --body "{\"principalId\": \"$1\", \"resourceId\": \"$graph\", \"appRoleId\": \"$role\"}" >/dev/null
        echo "$permission: the identity has it"
    done
}

case "${1:-} $#" in
    "api 1") api ;;
    "look-up 2") look_up "$2" ;;
    *) sed -n 2,9p "$0" >&2; exit 2 ;;
esac
